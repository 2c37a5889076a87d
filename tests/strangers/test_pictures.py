"""Strangers' pictures are read right or refused in a sentence, and never take long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from flask_server.imaging.decoding import DecodedImage
from flask_server.imaging.preprocessing import min_decoded_size
from model_catalog.spec import InputSpec
from tests.decoding import decode
from tests.fuzz.target import limited_cpu
from tests.strangers.kinds import KINDS, Kind

MAX_PIXELS = 100_000_000

RIGHT = [kind for kind in KINDS if kind.refusal is None]
REFUSED = [kind for kind in KINDS if kind.refusal is not None]


def by_name(kind: Kind) -> str:
    return kind.name


def read(kind: Kind, *, side: int | None = None) -> DecodedImage:
    spec = InputSpec(height=side or 1, width=side or 1)
    min_size = partial(min_decoded_size, spec) if side else None
    return decode(kind.make(), max_pixels=MAX_PIXELS, min_size=min_size)


@pytest.fixture(autouse=True)
def _limited_cpu() -> Iterator[None]:
    """End a test that takes long; a neighbour that holds the processors does not count."""
    with limited_cpu(20.0):
        yield


@pytest.mark.parametrize("kind", RIGHT, ids=by_name)
def test_it_shows_these_colours(kind: Kind) -> None:
    image = read(kind).image

    for place, colour in kind.pixels.items():
        shown = np.asarray(image.crop((*place, place[0] + 1, place[1] + 1)).convert("RGB"))[0, 0]
        assert np.abs(shown.astype(int) - colour).max() <= kind.tolerance, (place, shown)


@pytest.mark.parametrize("kind", RIGHT, ids=by_name)
def test_a_small_model_reads_it_too(kind: Kind) -> None:
    read(kind, side=4)


@pytest.mark.parametrize("kind", REFUSED, ids=by_name)
def test_it_is_refused_in_a_sentence(kind: Kind) -> None:
    assert kind.refusal is not None
    with pytest.raises(kind.refusal, match=kind.words):
        read(kind)
