"""The states of models and of the addresses of their servers, read anew for each scrape.

They are those of the worker that is scraped: the findings of its last poll, its present circuits
and its present calls in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flask_server.errors import ServingTimeout, ServingUnavailable, UnknownModel
from flask_server.serving.model_state import ModelState
from flask_server.serving.models import Models
from flask_server.serving.upstream import AddressState, SingleServing
from flask_server.telemetry.metric_families import (
    ADDRESS_STATES,
    ADDRESS_UP,
    CALLS_IN_FLIGHT,
    CIRCUIT_OPEN,
    LABEL_USABLE,
    MODEL_INFO,
    MODEL_READY,
    MODEL_STATES,
    MODEL_VERSION,
    SCORE_DRIFT,
    SERVING_UP,
    Family,
)

_UNREACHABLE = (ServingUnavailable, ServingTimeout)

#: A metric, the values of its labels, and its value.
Value = tuple[Family, Sequence[str], float]


class ServingStates(Collector):
    """The states of all models and addresses."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all gauges, also those without a value."""
        gauges = {family: family.state() for family in (*MODEL_STATES, *ADDRESS_STATES)}
        for name in self._models.names:
            with suppress(UnknownModel):  # it was removed meanwhile
                for family, labels, value in self._values(name):
                    gauges[family].add_metric(labels, value)
        yield from gauges.values()

    def _values(self, name: str) -> Iterator[Value]:
        state = self._models.state(name)
        yield from model_values(name, state)
        yield from address_values(name, self._models.servers(name), state.addresses)


def model_values(name: str, state: ModelState) -> Iterator[Value]:
    """Yield what the last poll found of a model."""
    yield SERVING_UP, [name], not isinstance(state.problem, _UNREACHABLE)
    yield MODEL_READY, [name], state.ready
    if state.newest is not None:
        yield MODEL_VERSION, [name], state.newest.version
        yield MODEL_INFO, [name, state.newest.spec.task], 1
    if state.score_drift is not None:
        yield SCORE_DRIFT, [name], state.score_drift
    for label in state.traffic.labels:
        yield LABEL_USABLE, [name, label], label in state.traffic.versions


def address_values(
    name: str, servers: Iterable[SingleServing], addresses: Iterable[AddressState]
) -> Iterator[Value]:
    """Yield the states of a model's servers, and what the last poll found at several addresses.

    Addresses have their numbers in the list of the model, since anybody may read the metrics.
    """
    for number, server in enumerate(servers, 1):
        yield CIRCUIT_OPEN, [name, str(number)], server.breaker.open
        yield CALLS_IN_FLIGHT, [name, str(number)], server.in_flight
    for number, each in enumerate(addresses, 1):
        yield ADDRESS_UP, [name, str(number)], each.problem is None
