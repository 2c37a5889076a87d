"""Read from the metrics what became of the copies that ``shadow`` made of requests. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from prometheus_client.core import Metric

from flask_server.inference.shadow import COMPARED, DROPPED, FAILED

SHADOW = "gateway_shadow_"


def figures(
    metrics: Iterable[Metric], model: str, label: str, version: int | None
) -> dict[str, Any]:
    """Return the outcomes of a label's copies, and how its version differs from the others.

    ``version`` is the version that the label has now; None for a label without one.
    """
    requests = dict.fromkeys((COMPARED, DROPPED, FAILED), 0)
    pairs: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, labels, value in _samples(metrics, model):
        if name == "requests_total" and labels["version_label"] == label:
            requests[labels["outcome"]] = int(value)
        elif labels.get("shadow_version") == str(version):
            name += labels.get("same_class", "")
            pairs[int(labels["version"])][name] += value if "le" not in labels else 0
    comparisons = [
        _comparison(number, sums)
        for number, sums in sorted(pairs.items())
        if _images(sums) and sums["score_shift_count"]
    ]
    return {"version": version, "requests": requests, "comparisons": comparisons}


def _samples(metrics: Iterable[Metric], model: str) -> Iterable[tuple[str, dict[str, str], float]]:
    """Yield the names behind ``SHADOW``, the labels and the values."""
    for metric in metrics:
        for sample in metric.samples:
            if sample.name.startswith(SHADOW) and sample.labels.get("model") == model:
                yield sample.name.removeprefix(SHADOW), sample.labels, sample.value


def _comparison(version: int, sums: dict[str, float]) -> dict[str, Any]:
    """Return the figures in the words of ``scripts/models.py compare --json``.

    Images and their score shifts have their own counts, since each metric has a file of its own:
    another worker may be between the two.
    """
    images = _images(sums)
    return {
        "version": version,
        "images": int(images),
        "top1_agreement": sums["images_totalyes"] / images,
        "mean_score_shift": sums["score_shift_sum"] / sums["score_shift_count"],
        "largest_score_shift": sums["score_shift_max"],
    }


def _images(sums: dict[str, float]) -> float:
    return sums["images_totalyes"] + sums["images_totalno"]
