"""What GATEWAY_FAST_RESIZE gains and changes: python -m benchmarks.fast_resize

Both ways of resizing side by side on the benchmark's pictures: CPU time, levels, and the scores
that the models then give (OpenVINO), beside what bf16 does to the scores of Pillow's pixels.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks import fixtures
from benchmarks.fixtures import Fixture
from benchmarks.gateway_cost import bare_ms
from benchmarks.in_process import Classify, Floats, openvino
from benchmarks.table import MODELS, grid
from flask_server.imaging.decoding import decode
from flask_server.imaging.preprocessing import Pixels, scale, to_pixels
from flask_server.imaging.resizing import Resize, by_pillow, resizer
from model_catalog.spec import InputSpec

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Both:
    """A model's pictures as its input sees them, resized in either way."""

    fixture: Fixture
    slow_ms: float
    fast_ms: float
    exact: list[Pixels]
    quick: list[Pixels]


def main() -> int:
    """Print the tables of docs/gateway.md."""
    both = [resized_both_ways(model) for model in MODELS]
    head = ["model", "Pillow, CPU ms", "fast, CPU ms", "differing values", "by levels"]
    print(grid(head, [pixel_row(one) for one in both]), end="\n\n")
    head = ["change of scores", "fast resizing, maximum", "fast resizing, best class, mean"]
    print(grid([*head, "bf16, maximum", "same best class"], [score_row(one) for one in both]))
    return 0


def resized_both_ways(model: str) -> Both:
    """Resize a model's pictures with Pillow and with the fast resizer, and time both."""
    fixture = fixtures.load(model)
    spec = InputSpec(height=fixture.side, width=fixture.side)
    pictures = [decode(data, max_pixels=sys.maxsize).image for data in fixture.pictures]
    ways = (by_pillow, resizer(fast=True))
    times = [[_resize_ms(pictures, spec, way) for way in ways] for _ in range(REPEATS)]
    slow_ms, fast_ms = (statistics.median(column) for column in zip(*times, strict=True))
    exact, quick = ([to_pixels(picture, spec, way) for picture in pictures] for way in ways)
    return Both(fixture, slow_ms, fast_ms, exact, quick)


def pixel_row(both: Both) -> list[str]:
    """Return what the fast resizer gains, and how far its pixels are from Pillow's."""
    apart = np.abs(np.stack(both.exact).astype(np.int16) - np.stack(both.quick))
    return [
        MODELS[both.fixture.model],
        f"{both.slow_ms:.2f}",
        f"{both.fast_ms:.2f}",
        f"{(apart > 0).mean():.2%}",
        str(apart.max()),
    ]


def score_row(both: Both) -> list[str]:
    """Return how far the scores move, beside what bf16 does to those of Pillow's pixels."""
    f32, bf16 = (openvino(both.fixture.version, precision, 1) for precision in ("f32", "bf16"))
    before, after = _scores(f32, both.exact), _scores(f32, both.quick)
    same = (before.argmax(axis=1) == after.argmax(axis=1)).sum()
    return [
        MODELS[both.fixture.model],
        f"{np.abs(before - after).max():.3f}",
        f"{np.abs(before.max(axis=1) - after.max(axis=1)).mean():.3f}",
        f"{np.abs(before - _scores(bf16, both.exact)).max():.2f}",
        f"{same} of {len(before)}",
    ]


def _resize_ms(pictures: Sequence[Image.Image], spec: InputSpec, way: Resize) -> float:
    return bare_ms(lambda: [to_pixels(picture, spec, way) for picture in pictures], 4) / len(
        pictures
    )


def _scores(classify: Classify, pictures: Sequence[Pixels]) -> Floats:
    return np.concatenate([classify(scale(pixels, "tf")[np.newaxis]).copy() for pixels in pictures])


if __name__ == "__main__":
    sys.exit(main())
