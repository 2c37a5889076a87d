"""The metrics of the gateway: names, help texts, labels and buckets.

``metrics.py`` counts them; ``serving_states.py`` reads those of models and addresses anew for each
scrape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

PREFIX = "gateway_"

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

#: Of differences between scores, which are mostly probabilities.
SHIFT_BUCKETS = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric without values."""

    name: str
    """Without the prefix."""

    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram."""

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return a counter of this process."""
        return Counter(PREFIX + self.name, self.text, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return a histogram of this process."""
        return Histogram(
            PREFIX + self.name, self.text, self.labels, buckets=self.buckets, registry=registry
        )

    def gauge(self, registry: CollectorRegistry, of_all: Literal["livesum", "max"]) -> Gauge:
        """Return a gauge of this process.

        ``of_all`` is the value of several processes: the sum of the running ones, or the largest.
        """
        return Gauge(
            PREFIX + self.name, self.text, self.labels, multiprocess_mode=of_all, registry=registry
        )

    def state(self) -> GaugeMetricFamily:
        """Return a gauge for the values of one scrape."""
        return GaugeMetricFamily(PREFIX + self.name, self.text, labels=self.labels)


REQUESTS = Family(
    "requests",
    "Requests answered, those without an error with an empty code; a request that is "
    "refused before its head is read counts as (unmatched).",
    ("route", "method", "status", "code"),
)
PROBLEMS = Family(
    "problems", "Requests answered with an error; every code begins at zero.", ("code",)
)
SHED = Family("shed", "Requests refused with overloaded.")
UNHANDLED_REQUESTS = Family(
    "unhandled_requests",
    "Requests that ended before their route was known: malformed, too_large (the head), "
    "no_room, too_slow, aborted (by the client) or dropped (by the gateway).",
    ("reason",),
)
PREDICTIONS = Family(
    "predictions",
    "Images by outcome, ok or an error code; a request that fails as a whole counts as one "
    "image, with an empty version unless a split had chosen one.",
    ("model", "version", "outcome"),
)
REQUEST_SECONDS = Family(
    "request_seconds",
    "Seconds from the start of a request until its response is ready.",
    ("route",),
    REQUEST_BUCKETS,
)
PREDICTION_SECONDS = Family(
    "prediction_seconds",
    "Seconds of requests for predictions, without those refused with a status of 4xx or "
    "with overloaded, keys_unavailable or model_not_ready.",
    ("model",),
    REQUEST_BUCKETS,
)
API_KEY_REQUESTS = Family(
    "api_key_requests",
    "Requests with a valid API key, by the id of the key: the first 100 in the key file "
    "are counted by themselves, all others as other.",
    ("api_key", "status"),
)
STAGE_SECONDS = Family(
    "stage_seconds",
    "Seconds of a request in one stage: decode, preprocess, serving or postprocess.",
    ("stage",),
    STAGE_BUCKETS,
)
IN_FLIGHT = Family("predictions_in_flight", "Prediction requests in flight, sum of all workers.")
IN_FLIGHT_LIMIT = Family(
    "predictions_in_flight_limit",
    "Maximum number of prediction requests in flight, sum of all workers.",
)

_VERSIONS = ("model", "version", "shadow_version")
SHADOW_REQUESTS = Family(
    "shadow_requests",
    "Requests chosen for a copy to a shadow label: compared, dropped (the queue was full, "
    "the version was unloaded, or there was no memory to decode an image again) or failed.",
    ("model", "version_label", "outcome"),
)
SHADOW_IMAGES = Family(
    "shadow_images",
    "Images compared, by whether both versions have the same best class (yes or no).",
    (*_VERSIONS, "same_class"),
)
SHADOW_SCORE_SHIFT = Family(
    "shadow_score_shift",
    "Absolute difference of the best class's score in the shadow version.",
    _VERSIONS,
    SHIFT_BUCKETS,
)
SHADOW_SCORE_SHIFT_MAX = Family(
    "shadow_score_shift_max",
    "The largest difference of the best class's score since the start.",
    _VERSIONS,
)

SERVING_UP = Family("serving_up", "Whether the model's Serving answered the last poll.", ("model",))
MODEL_READY = Family("model_ready", "Whether the model answers requests.", ("model",))
MODEL_VERSION = Family("model_version", "The newest available version.", ("model",))
SCORE_DRIFT = Family(
    "model_score_drift",
    "Largest difference of the newest version's scores of its golden images from those "
    "of the exported model, where it was measured.",
    ("model",),
)
MODEL_INFO = Family(
    "model_info",
    "Always 1; the task of the newest version, so that other metrics need no label for it.",
    ("model", "task"),
)
LABEL_USABLE = Family(
    "traffic_label_usable",
    "Whether a label of split or shadow has a version that can be used.",
    ("model", "version_label"),
)
#: In the order in which a scrape has them.
MODEL_STATES = (SERVING_UP, MODEL_READY, MODEL_VERSION, SCORE_DRIFT, MODEL_INFO, LABEL_USABLE)

CIRCUIT_OPEN = Family(
    "serving_circuit_open",
    "Whether the circuit breaker of the address refuses calls, of whichever model.",
    ("model", "address"),
)
CALLS_IN_FLIGHT = Family(
    "serving_calls_in_flight",
    "Calls to the address in flight, of all models that have it.",
    ("model", "address"),
)
ADDRESS_UP = Family(
    "serving_address_up",
    "Whether one of several addresses answered the last poll.",
    ("model", "address"),
)
#: In the order in which a scrape has them.
ADDRESS_STATES = (CIRCUIT_OPEN, CALLS_IN_FLIGHT, ADDRESS_UP)
