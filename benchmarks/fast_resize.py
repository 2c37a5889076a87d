"""Cost and effect of GATEWAY_FAST_RESIZE: python -m benchmarks.fast_resize

Compares Pillow with the fast resizer on the benchmark's pictures: CPU time, pixel values, and the
models' scores on OpenVINO. The change of scores by bf16 is printed for comparison.
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
from flask_server.imaging.decoding import read_header
from flask_server.imaging.preprocessing import Pixels, scale, to_pixels
from flask_server.imaging.resizing import Resize, by_pillow, resizer
from flask_server.settings import FastResize
from model_catalog.spec import InputSpec

REPEATS = 5


@dataclass(frozen=True, slots=True)
class ResizedPictures:
    """The input pixels of one model from both resizers, and the CPU time per picture."""

    fixture: Fixture
    pillow_ms: float
    fast_ms: float
    pillow: list[Pixels]
    fast: list[Pixels]


def main() -> int:
    """Print the tables of docs/gateway.md."""
    models = [resized_both_ways(model) for model in MODELS]
    head = ["model", "Pillow, CPU ms", "fast, CPU ms", "differing values", "by levels"]
    print(grid(head, [pixel_row(one) for one in models]), end="\n\n")
    head = ["change of scores", "fast resizing, maximum", "fast resizing, best class, mean"]
    print(grid([*head, "bf16, maximum", "same best class"], [score_row(one) for one in models]))
    return 0


def resized_both_ways(model: str) -> ResizedPictures:
    """Resize a model's pictures with Pillow and with the fast resizer, and time resized."""
    fixture = fixtures.load(model)
    spec = InputSpec(height=fixture.side, width=fixture.side)
    pictures = [
        read_header(data, max_pixels=sys.maxsize).decode().image for data in fixture.pictures
    ]
    ways = (by_pillow, resizer(FastResize.ON))
    times = [[_resize_ms(pictures, spec, way) for way in ways] for _ in range(REPEATS)]
    pillow_ms, fast_ms = (statistics.median(column) for column in zip(*times, strict=True))
    pillow, fast = ([to_pixels(picture, spec, way) for picture in pictures] for way in ways)
    return ResizedPictures(fixture, pillow_ms, fast_ms, pillow, fast)


def pixel_row(resized: ResizedPictures) -> list[str]:
    """Return a table row with CPU times and the differences of pixel values."""
    apart = np.abs(np.stack(resized.pillow).astype(np.int16) - np.stack(resized.fast))
    return [
        MODELS[resized.fixture.model],
        f"{resized.pillow_ms:.2f}",
        f"{resized.fast_ms:.2f}",
        f"{(apart > 0).mean():.2%}",
        str(apart.max()),
    ]


def score_row(resized: ResizedPictures) -> list[str]:
    """Return a table row with the changes of scores by the fast resizer and by bf16."""
    f32, bf16 = (openvino(resized.fixture.version, precision, 1) for precision in ("f32", "bf16"))
    before, after = _scores(f32, resized.pillow), _scores(f32, resized.fast)
    same = (before.argmax(axis=1) == after.argmax(axis=1)).sum()
    return [
        MODELS[resized.fixture.model],
        f"{np.abs(before - after).max():.3f}",
        f"{np.abs(before.max(axis=1) - after.max(axis=1)).mean():.3f}",
        f"{np.abs(before - _scores(bf16, resized.pillow)).max():.2f}",
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
