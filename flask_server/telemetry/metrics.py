"""Count requests, errors and predictions for Prometheus.

Every label has a bounded set of values: routes by their rule, models by the models file, codes by
the error classes, the ids of API keys by the beginning of their file. Each worker process writes
its own files, and a scrape of any worker adds all of them up. The state of the models is not added
up: it comes from the worker that is scraped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from flask_server.errors import (
    KeysUnavailable,
    ModelNotReady,
    Overloaded,
    ServingTimeout,
    ServingUnavailable,
    UnknownModel,
    kinds,
)
from flask_server.inference.shadow import ShadowResult
from flask_server.serving.models import Models
from flask_server.telemetry import metrics_directory, metrics_files
from flask_server.telemetry.process_states import ProcessStates
from flask_server.telemetry.request_log import OTHER_METHOD, UNMATCHED, Entry
from flask_server.telemetry.shadow_figures import figures
from flask_server.web.unhandled import Unhandled

PREFIX = "gateway_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

#: Of differences between scores, which are mostly probabilities.
SHIFT_BUCKETS = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

#: Maximum number of combinations of labels that are found without a search.
_KEPT = 1024

OK = "ok"
#: The version of requests that fail as a whole, unless a split had chosen one.
NO_VERSION = ""
#: The code of requests without an error.
NO_CODE = ""
#: The id that stands for API keys without metrics of their own.
OTHER_KEYS = "other"

_UNREACHABLE = (ServingUnavailable, ServingTimeout)
#: Codes of requests that no model was asked for.
_REFUSALS = frozenset({Overloaded.code, KeysUnavailable.code, ModelNotReady.code})


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
            ModelStates(models),
            AddressStates(models),
            ProcessStates(PREFIX, metrics_directory.master(os.environ)),
        )
        """What each scrape reads anew in the worker that answers it."""

        self.registry = CollectorRegistry()
        """The metrics of this process, without the states of the models."""
        requests = self._counter(
            "requests",
            "Requests answered, those without an error with an empty code; a request that is "
            "refused before its head is read counts as (unmatched).",
            *("route", "method", "status", "code"),
        )
        self._problems = self._counter(
            "problems", "Requests answered with an error; every code begins at zero.", "code"
        )
        for kind in kinds():
            # From zero, because Prometheus would not see the first error as a growth.
            self._problems.labels(kind.code)
        self._shed = self._counter("shed", "Requests refused with overloaded.")
        unhandled = self._counter(
            "unhandled_requests",
            "Requests that ended before their route was known: malformed, too_large (the head), "
            "no_room, too_slow, aborted (by the client) or dropped (by the gateway).",
            "reason",
        )
        self._unhandled = {reason: unhandled.labels(reason) for reason in Unhandled}
        predictions = self._counter(
            "predictions",
            "Images by outcome, ok or an error code; a request that fails as a whole counts as one "
            "image, with an empty version unless a split had chosen one.",
            *("model", "version", "outcome"),
        )
        seconds = self._histogram(
            "request_seconds",
            "Seconds from the start of a request until its response is ready.",
            REQUEST_BUCKETS,
            "route",
        )
        prediction_seconds = self._histogram(
            "prediction_seconds",
            "Seconds of requests for predictions, without those refused with a status of 4xx or "
            "with overloaded, keys_unavailable or model_not_ready.",
            REQUEST_BUCKETS,
            "model",
        )
        keys = self._counter(
            "api_key_requests",
            "Requests with a valid API key, by the id of the key: the first 100 in the key file "
            "are counted by themselves, all others as other.",
            *("api_key", "status"),
        )
        stages = self._histogram(
            "stage_seconds",
            "Seconds of a request in one stage: decode, preprocess, serving or postprocess.",
            STAGE_BUCKETS,
            "stage",
        )
        # The client's search for the values of labels is a third of the cost of counting.
        self._requests = lru_cache(_KEPT)(requests.labels)
        self._no_room = self._requests(
            UNMATCHED, OTHER_METHOD, str(Overloaded.status.value), Overloaded.code
        )
        self._predictions = lru_cache(_KEPT)(predictions.labels)
        self._seconds = lru_cache(_KEPT)(seconds.labels)
        self._prediction_seconds = lru_cache(_KEPT)(prediction_seconds.labels)
        self._keys = lru_cache(_KEPT)(keys.labels)
        self._stages = lru_cache(_KEPT)(stages.labels)
        pair = ("model", "version", "shadow_version")
        self._copies = self._counter(
            "shadow_requests",
            "Requests chosen for a copy to a shadow label: compared, dropped (the queue was full, "
            "the version was unloaded, or there was no memory to decode an image again) or failed.",
            *("model", "version_label", "outcome"),
        )
        self._compared = self._counter(
            "shadow_images",
            "Images compared, by whether both versions have the same best class (yes or no).",
            *(*pair, "same_class"),
        )
        self._shifts = self._histogram(
            "shadow_score_shift",
            "Absolute difference of the best class's score in the shadow version.",
            SHIFT_BUCKETS,
            *pair,
        )
        self._max_shifts = Gauge(
            f"{PREFIX}shadow_score_shift_max",
            "The largest difference of the best class's score since the start.",
            pair,
            multiprocess_mode="max",
            registry=self.registry,
        )
        self._max_shift: dict[tuple[str, ...], float] = {}
        self._in_flight = self._gauge(
            "predictions_in_flight", "Prediction requests in flight, sum of all workers."
        )
        self._gauge(
            "predictions_in_flight_limit",
            "Maximum number of prediction requests in flight, sum of all workers.",
        ).set(max_in_flight)

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

    def count_unhandled(self, reason: Unhandled) -> None:
        """Count a request that ended before its route was known."""
        self._unhandled[reason].inc()
        if reason is Unhandled.NO_ROOM:  # answered with overloaded
            self._no_room.inc()
            self._problems.labels(Overloaded.code).inc()
            self._shed.inc()

    def count_shadow(self, result: ShadowResult) -> None:
        """Count the copy of one request; only one thread counts images."""
        self._copies.labels(result.model, result.label, result.outcome).inc()
        pair = (result.model, str(result.version), str(result.shadow_version))
        for image in result.images:
            self._compared.labels(*pair, "yes" if image.agrees else "no").inc()
            self._shifts.labels(*pair).observe(image.shift)
            if image.shift >= self._max_shift.get(pair, 0.0):
                self._max_shift[pair] = image.shift
                self._max_shifts.labels(*pair).set(image.shift)

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

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        """Return a gauge whose value is the sum of the running processes."""
        return Gauge(PREFIX + name, text, multiprocess_mode="livesum", registry=self.registry)


class ModelStates(Collector):
    """The state of each model at the last poll of the worker that is scraped."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of all models."""
        up = _per_model("serving_up", "Whether the model's Serving answered the last poll.")
        ready = _per_model("model_ready", "Whether the model answers requests.")
        version = _per_model("model_version", "The newest available version.")
        labels = _gauge(
            "traffic_label_usable",
            "Whether a label of split or shadow has a version that can be used.",
            *("model", "version_label"),
        )
        drift = _per_model(
            "model_score_drift",
            "Largest difference of the newest version's scores of its golden pictures from those "
            "of the exported model, where it was measured.",
        )
        info = GaugeMetricFamily(
            f"{PREFIX}model_info",
            "Always 1; the task of the newest version, so that other metrics need no label for it.",
            labels=["model", "task"],
        )
        for name in self._models.names:
            try:
                state = self._models.state(name)
            except UnknownModel:  # it was removed meanwhile
                continue
            up.add_metric([name], not isinstance(state.problem, _UNREACHABLE))
            ready.add_metric([name], state.ready)
            if state.newest is not None:
                version.add_metric([name], state.newest.version)
                info.add_metric([name, state.newest.spec.task], 1)
            if state.score_drift is not None:
                drift.add_metric([name], state.score_drift)
            for label in state.traffic.labels:
                labels.add_metric([name, label], label in state.traffic.versions)
        yield from (up, ready, version, drift, info, labels)


class AddressStates(Collector):
    """The state of each address of a model server in the worker that is scraped.

    Addresses have their numbers in the list of the model, since anybody may read the metrics.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of all addresses."""
        labels = ("model", "address")
        circuit = _gauge(
            "serving_circuit_open",
            "Whether the circuit breaker of the address refuses calls, of whichever model.",
            *labels,
        )
        calls = _gauge(
            "serving_calls_in_flight",
            "Calls to the address in flight, of all models that have it.",
            *labels,
        )
        up = _gauge(
            "serving_address_up",
            "Whether one of several addresses answered the last poll.",
            *labels,
        )
        for name in self._models.names:
            with suppress(UnknownModel):  # it was removed meanwhile
                for number, server in enumerate(self._models.servers(name), 1):
                    circuit.add_metric([name, str(number)], server.breaker.open)
                    calls.add_metric([name, str(number)], server.in_flight)
                for number, each in enumerate(self._models.state(name).addresses, 1):
                    up.add_metric([name, str(number)], each.problem is None)
        yield from (circuit, calls, up)


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


def _per_model(name: str, text: str) -> GaugeMetricFamily:
    return _gauge(name, text, "model")


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


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
