"""Count requests, errors and predictions for Prometheus.

Every label but those of versions has a bounded set of values: routes by their rule, models by the
models file, codes by the error classes, the ids of API keys by the beginning of their file. Each
worker process writes its own files, and a scrape of any worker adds all of them up. The state of
the models is not added up: it comes from the worker that is scraped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from flask_server.errors import KeysUnavailable, ModelNotReady, Overloaded, kinds
from flask_server.inference.shadow import ShadowResult
from flask_server.serving.models import Models
from flask_server.telemetry import metrics_directory, metrics_files
from flask_server.telemetry.metric_families import (
    API_KEY_REQUESTS,
    IN_FLIGHT,
    IN_FLIGHT_LIMIT,
    PREDICTION_SECONDS,
    PREDICTIONS,
    PREFIX,
    PROBLEMS,
    REQUEST_SECONDS,
    REQUESTS,
    SHED,
    STAGE_SECONDS,
    UNHANDLED_REQUESTS,
)
from flask_server.telemetry.process_states import ProcessStates
from flask_server.telemetry.request_log import OTHER_METHOD, UNMATCHED, Entry
from flask_server.telemetry.serving_states import ServingStates
from flask_server.telemetry.shadow_figures import figures
from flask_server.telemetry.shadow_metrics import ShadowMetrics
from flask_server.web.unhandled import Unhandled

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Maximum number of combinations of labels that are found without a search.
_KEPT = 1024

OK = "ok"
#: The version of requests that fail as a whole, unless a split had chosen one.
NO_VERSION = ""
#: The code of requests without an error.
NO_CODE = ""
#: The id that stands for API keys without metrics of their own.
OTHER_KEYS = "other"

#: Codes of requests that no model was asked for.
_REFUSALS = frozenset({Overloaded.code, KeysUnavailable.code, ModelNotReady.code})

AnyMetric = TypeVar("AnyMetric", Counter, Histogram)


class Metrics:
    """All metrics of one app."""

    def __init__(
        self,
        models: Models,
        *,
        max_in_flight: int,
        shared: bool,
        listed_keys: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """``listed_keys`` returns the ids of the API keys that have metrics of their own."""
        self._shared = shared
        if shared:
            metrics_files.use()
        self._models = models
        self._listed_keys = listed_keys
        self.states: tuple[Collector, ...] = (
            ServingStates(models),
            ProcessStates(PREFIX, metrics_directory.parent_pid(os.environ)),
        )
        """What each scrape reads anew in the worker that answers it."""

        self.registry = registry = CollectorRegistry()
        """The metrics of this process, without the states of the models."""
        # In the order in which a scrape has them.
        self._requests = _with_kept_labels(REQUESTS.counter(registry))
        self._problems = PROBLEMS.counter(registry)
        for kind in kinds():
            # From zero, because Prometheus would not see the first error as a growth.
            self._problems.labels(kind.code)
        self._shed = SHED.counter(registry)
        unhandled = UNHANDLED_REQUESTS.counter(registry)
        self._unhandled = {reason: unhandled.labels(reason) for reason in Unhandled}
        self._predictions = _with_kept_labels(PREDICTIONS.counter(registry))
        self._seconds = _with_kept_labels(REQUEST_SECONDS.histogram(registry))
        self._prediction_seconds = _with_kept_labels(PREDICTION_SECONDS.histogram(registry))
        self._keys = _with_kept_labels(API_KEY_REQUESTS.counter(registry))
        self._stages = _with_kept_labels(STAGE_SECONDS.histogram(registry))
        self._no_room = self._requests(
            UNMATCHED, OTHER_METHOD, str(Overloaded.status.value), Overloaded.code
        )
        self._shadow = ShadowMetrics(registry)
        self._in_flight = IN_FLIGHT.gauge(registry, "livesum")
        IN_FLIGHT_LIMIT.gauge(registry, "livesum").set(max_in_flight)

    def write(self, entry: Entry) -> None:
        """Count one finished request."""
        status = str(entry.status)
        self._requests(entry.route, entry.method, status, entry.code or NO_CODE).inc()
        self._seconds(entry.route).observe(entry.seconds)
        if entry.api_key is not None:
            self._keys(self._key_label(entry.api_key), status).inc()
        if entry.predicts and entry.model is not None and _was_tried(entry):
            self._prediction_seconds(entry.model).observe(entry.seconds)
        for stage, seconds in entry.stages.items():
            self._stages(stage).observe(seconds)
        if entry.code is not None:
            self._problems.labels(entry.code).inc()
        if entry.code == Overloaded.code:
            self._shed.inc()
        for labels in _outcomes(entry):
            self._predictions(*labels).inc()

    def count_unhandled(self, reason: Unhandled, count: int) -> None:
        """Count so many requests that ended before their route was known."""
        self._unhandled[reason].inc(count)
        if reason is Unhandled.NO_ROOM:  # answered with overloaded
            self._no_room.inc(count)
            self._problems.labels(Overloaded.code).inc(count)
            self._shed.inc(count)

    def count_shadow(self, result: ShadowResult) -> None:
        """Count the copy of one request; only one thread counts images."""
        self._shadow.count(result)

    def shadow_figures(self, model: str, versions: Mapping[str, int | None]) -> dict[str, Any]:
        """Return for each label the outcomes of its copies, and how its version differs."""
        return figures(self._counted().collect(), model, versions)

    def count_in_flight(self, change: int) -> None:
        """Count prediction requests that begin (1) or end (-1)."""
        self._in_flight.inc(change)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        # prometheus_client asks for a new registry per scrape when processes share metrics.
        registry = CollectorRegistry()
        for states in self.states:
            registry.register(states)
        keys = {OTHER_KEYS, *self._listed_keys()}
        registry.register(Present(self._counted(), {"model": self._models.names, "api_key": keys}))
        return generate_latest(registry)

    def _key_label(self, key: str) -> str:
        return key if key in self._listed_keys() else OTHER_KEYS

    def _counted(self) -> Collector:
        """Return the metrics of all processes."""
        if not self._shared:
            return self.registry
        # The class registers itself with the registry that it gets.
        return MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]


class Present(Collector):
    """The metrics of another collector without those of models and API keys that were removed."""

    def __init__(self, counted: Collector, present: Mapping[str, Collection[str]]) -> None:
        """``present`` has the values of labels that still exist; other labels have any value."""
        self._counted = counted
        self._present = present

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, each with the samples whose labels all exist."""
        for metric in self._counted.collect():
            metric.samples = [s for s in metric.samples if self._is_present(s.labels)]
            yield metric

    def _is_present(self, labels: Mapping[str, str]) -> bool:
        return all(
            labels[name] in values for name, values in self._present.items() if name in labels
        )


def _with_kept_labels(metric: AnyMetric) -> Callable[..., AnyMetric]:
    """Return ``metric.labels`` with a cache.

    The client's search for the values of labels is a third of the cost of counting.
    """
    return lru_cache(_KEPT)(metric.labels)


def _was_tried(entry: Entry) -> bool:
    """Tell whether the gateway tried to answer the request, rather than to refuse it."""
    is_caller_error = 400 <= entry.status < 500
    return not is_caller_error and entry.code not in _REFUSALS


def _outcomes(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yield model, version and outcome of each image in the request."""
    if not entry.predicts or entry.model is None:
        return
    version = NO_VERSION if entry.version is None else str(entry.version)
    if entry.code is not None:
        yield entry.model, version, entry.code
        return
    for code in entry.image_codes:
        yield entry.model, version, code or OK
