"""Measure how many calibration images int8 needs: ``python -m … VERSION_FOLDER COMPARISON_FOLDER``.

Quantises with more and more of the images that come with the project, each number with several
seeds, and compares int8 with f32 on the pictures of the folder. Prints a table in Markdown.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Final

from model_catalog.quantization import Comparison
from scripts import quiet_tensorflow
from scripts.checks.picture_files import pictures_in
from scripts.quantization import networks, views
from scripts.quantization.comparison import compare
from scripts.quantization.job import spec_of

COUNTS: Final = (1, 3, 11, 33, 100, 300)
SEEDS: Final = (0, 1, 2)
MOST: Final = 500


def comparisons(version: Path, folder: Path, count: int) -> list[Comparison]:
    """Quantise with ``count`` images per seed, and compare each result with f32."""
    spec = spec_of(version)
    files = pictures_in(folder, MOST)
    levels = views.levels_of(views.contents(files, len(files), 0), spec.images)
    batches = [
        views.scaled(levels[start : start + networks.BATCH], spec.images)
        for start in range(0, len(levels), networks.BATCH)
    ]
    expected = networks.scores(networks.compiled(networks.read(version), "f32"), batches)
    found = []
    for seed in SEEDS:
        shipped = pictures_in(views.SHIPPED, MOST)
        random.Random(seed).shuffle(shipped)  # noqa: S311 - the same order each time
        calibration = views.levels_of(views.contents(shipped, count, seed), spec.images)
        images = [views.scaled(level[None], spec.images) for level in calibration]
        int8 = networks.quantized(networks.read(version), images.__getitem__, count)
        received = networks.scores(networks.compiled_int8(int8), batches)
        found.append(compare(expected, received, spec.output.activation))
    return found


def row(count: int, found: Sequence[Comparison]) -> str:
    """Return the row of one number of images: means over the seeds, and the worst of them."""
    sure = [comparison.agreement for comparison in found]
    of_all = mean(comparison.agreement_of_all for comparison in found)
    largest = max(comparison.largest_change for comparison in found)
    changes = mean(comparison.mean_change for comparison in found)
    return (
        f"| {count} | {mean(sure):.1%} | {min(sure):.1%} | {of_all:.1%} | {largest:.2f} |"
        f" {changes:.6f} |"
    )


def main(version: str, folder: str) -> None:
    """Print one row per number of images."""
    quiet_tensorflow.start()
    print("| images | agreement where f32 is sure | worst seed | of all | largest | mean change |")
    print("|---|---|---|---|---|---|")
    for count in COUNTS:
        print(row(count, comparisons(Path(version), Path(folder), count)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
