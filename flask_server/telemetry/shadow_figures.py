"""Read from the metrics what became of the copies that ``shadow`` made of requests. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import Metric

from flask_server.inference.shadow import OUTCOMES

SHADOW = "gateway_shadow_"

#: A name, the labels and the value.
Sample = tuple[str, dict[str, str], float]


def figures(
    metrics: Iterable[Metric], model: str, versions: Mapping[str, int | None]
) -> dict[str, Any]:
    """Return for each label the outcomes of its copies, and how its version differs from others.

    ``versions`` are the versions that the labels have now; None for a label without one.
    """
    samples = list(_samples(metrics, model))
    return {label: _figures(samples, label, version) for label, version in versions.items()}


def _figures(samples: Iterable[Sample], label: str, version: int | None) -> dict[str, Any]:
    requests = dict.fromkeys(OUTCOMES, 0)
    pairs: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, labels, value in samples:
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


def _samples(metrics: Iterable[Metric], model: str) -> Iterable[Sample]:
    """Yield the samples of a model, by their names behind ``SHADOW``."""
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
