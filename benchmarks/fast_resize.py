"""What GATEWAY_FAST_RESIZE gains and changes: python -m benchmarks.fast_resize

Both ways of resizing side by side on the benchmark's pictures: CPU time, levels, and the scores
that the models then give (OpenVINO), beside what bf16 does to the scores of Pillow's pixels.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks import fixtures
from benchmarks.fixtures import SIDES
from benchmarks.gateway_cost import bare_ms
from benchmarks.in_process import Classify, Floats, openvino
from flask_server.images import decode
from flask_server.preprocessing import Pixels, scale, to_pixels
from flask_server.resizing import Resize, by_pillow, resizer
from model_catalog.spec import InputSpec

REPEATS = 5


def main() -> int:
    """Print one row per model."""
    print(
        "| model | Pillow, ms | fast, ms | values that differ | by levels | best class the same |"
    )
    print("|---|---|---|---|---|---|")
    moved = [_row(model) for model in SIDES]
    print("\n| scores move by | fast resize, at most | the best one, at the mean | bf16, at most |")
    print("|---|---|---|---|")
    print("\n".join(moved))
    return 0


def _row(model: str) -> str:
    """Print what the pixels of a model tell; return what its scores do."""
    fixture = fixtures.load(model)
    spec = InputSpec(height=fixture.side, width=fixture.side)
    pictures = [decode(data, max_pixels=10**8).image for data in fixture.pictures]
    ways = (by_pillow, resizer(fast=True))
    times = [[_resize_ms(pictures, spec, way) for way in ways] for _ in range(REPEATS)]
    slow_ms, fast_ms = (statistics.median(column) for column in zip(*times, strict=True))
    exact, quick = ([to_pixels(picture, spec, way) for picture in pictures] for way in ways)
    apart = np.abs(np.stack(exact).astype(np.int16) - np.stack(quick))

    f32, bf16 = (openvino(fixture.version, precision, 1) for precision in ("f32", "bf16"))
    before, after = _scores(f32, exact), _scores(f32, quick)
    same = (before.argmax(axis=1) == after.argmax(axis=1)).sum()
    print(
        f"| {model} | {slow_ms:.2f} | {fast_ms:.2f} | {(apart > 0).mean():.2%} | {apart.max()} "
        f"| {same} of {len(exact)} |"
    )
    best = np.abs(before.max(axis=1) - after.max(axis=1)).mean()
    rounded = np.abs(before - _scores(bf16, exact)).max()
    return f"| {model} | {np.abs(before - after).max():.4f} | {best:.4f} | {rounded:.4f} |"


def _resize_ms(pictures: Sequence[Image.Image], spec: InputSpec, way: Resize) -> float:
    return bare_ms(lambda: [to_pixels(picture, spec, way) for picture in pictures], 4) / len(
        pictures
    )


def _scores(classify: Classify, pictures: Sequence[Pixels]) -> Floats:
    return np.concatenate([classify(scale(pixels, "tf")[np.newaxis]).copy() for pixels in pictures])


if __name__ == "__main__":
    sys.exit(main())
