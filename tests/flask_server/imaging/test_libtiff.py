from __future__ import annotations

import random

import pytest
from PIL import Image

from flask_server.errors import ImageError, UnsupportedImage
from flask_server.imaging.libtiff import decodable
from tests.decoding import decode
from tests.flask_server.conftest import draw, saved
from tests.strangers.files import grey_tiff


def damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(5):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def test_damaged_tiffs_write_nothing_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(1)
    packed = ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")
    good = [draw("TIFF", (64, 64), compression=name) for name in packed]
    good += [saved(Image.new("1", (64, 64)), "TIFF", compression="group4")]
    refused = 0

    for _ in range(200):
        try:
            decode(damaged(chance.choice(good), chance), max_pixels=10**6)
        except ImageError:
            refused += 1

    assert refused > 20
    assert capfd.readouterr().err == ""


def test_libtiff_names_the_compressions_that_it_decodes() -> None:
    assert decodable((1, 5, 8, 34712)) == {1, 5, 8}


def test_a_compression_without_which_libtiff_was_built_is_refused_by_its_number() -> None:
    missing = {50000, 50001} - decodable((50000, 50001))

    for method in missing:
        with pytest.raises(UnsupportedImage, match=f"is compressed by method {method}"):
            decode(grey_tiff((259, 3, 1, method)), max_pixels=100)
