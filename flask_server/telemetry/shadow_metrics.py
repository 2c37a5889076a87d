"""Count the copies of requests that went to shadow versions."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from flask_server.inference.shadow import ShadowResult
from flask_server.telemetry.metric_families import (
    SHADOW_IMAGES,
    SHADOW_REQUESTS,
    SHADOW_SCORE_SHIFT,
    SHADOW_SCORE_SHIFT_MAX,
)


class ShadowMetrics:
    """The metrics of the copies; ``shadow_figures.py`` reads them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._copies = SHADOW_REQUESTS.counter(registry)
        self._compared = SHADOW_IMAGES.counter(registry)
        self._shifts = SHADOW_SCORE_SHIFT.histogram(registry)
        self._max_shifts = SHADOW_SCORE_SHIFT_MAX.gauge(registry, "max")
        self._max_shift: dict[tuple[str, ...], float] = {}

    def count(self, result: ShadowResult) -> None:
        """Count the copy of one request; only one thread counts images."""
        self._copies.labels(result.model, result.label, result.outcome).inc()
        pair = (result.model, str(result.version), str(result.shadow_version))
        for image in result.images:
            self._compared.labels(*pair, "yes" if image.agrees else "no").inc()
            self._shifts.labels(*pair).observe(image.shift)
            if image.shift >= self._max_shift.get(pair, 0.0):
                self._max_shift[pair] = image.shift
                self._max_shifts.labels(*pair).set(image.shift)
