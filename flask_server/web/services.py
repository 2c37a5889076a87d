"""The parts of the app that its views use, made once by ``create_app``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from flask import Flask, current_app, request

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, copied
from flask_server.inference.predict import Gateway, ImageResult, PredictRequest, PredictResponse
from flask_server.serving.live_model import LiveModel
from flask_server.web import request_context
from flask_server.web.admission import InFlight
from flask_server.web.unhandled import Unhandled

_KEY = "image_gateway"


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What one app has in ``app.extensions``."""

    gateway: Gateway

    predictions: InFlight
    """The requests in flight for predictions and explanations."""

    explanations: InFlight
    """The explanations in flight, which have a limit of their own."""

    open_paths: frozenset[str]
    """The paths of the views that need no API key."""

    metrics_text: Callable[[], bytes] | None
    """Gives all metrics in Prometheus's text format; None where metrics are turned off."""

    count_unhandled: Callable[[Unhandled, int], None]
    """Counts so many requests that end before they reach the app."""

    shadow_figures: Callable[[str, Mapping[str, int | None]], dict[str, Any]] | None
    """Gives for a model, and its shadow labels with their versions, what became of the copies of
    each label, as JSON; None where metrics are turned off."""


def install(app: Flask, services: Services) -> None:
    """Give the app its services."""
    app.extensions[_KEY] = services


def services_of(app: Flask) -> Services:
    """Return the services of an app."""
    return cast(Services, app.extensions[_KEY])


def gateway() -> Gateway:
    """Return the gateway of the app that answers the current request."""
    return services_of(current_app).gateway


def deadline() -> Deadline:
    """Return the deadline of the current request; it starts when this is called first.

    Views call it when the body has arrived.
    """
    context = request_context.current()
    if context.deadline is None:
        context.deadline = Deadline(gateway().settings.deadline_s)
    return context.deadline


def ask(predict_request: PredictRequest) -> PredictResponse:
    """Answer the images or the tensor, and write version and error codes into the request context.

    The deadline starts here at the latest.
    """
    context = request_context.current()
    with request_context.traced():
        response = gateway().predict(with_affinity(predict_request), deadline(), context.stopwatch)
    context.version = response.version
    context.image_codes = [
        result.code if isinstance(result, GatewayError) else None for result in response.results
    ]
    return response


def with_affinity(predict_request: PredictRequest) -> PredictRequest:
    """Return the request with what its caller's requests have in common, by which a split chooses.

    Once a split has chosen a version, it is written into the request context: errors of that
    version are counted as its own.
    """
    context = request_context.current()

    def note_choice(live: LiveModel) -> None:
        context.split_label = live.split_label
        context.version = None if live.split_label is None else live.version

    return replace(predict_request, affinity=_affinity(), on_version=note_choice)


def _affinity() -> str | None:
    """Return what all requests of this caller have in common, None if nothing is known."""
    header = gateway().settings.split_header
    value = request.headers.get(header) if header else None
    if value:
        return f"header {value}"
    caller = request_context.current().caller
    return f"key {caller.id}" if caller else None


def all_results(response: PredictResponse) -> list[ImageResult]:
    """Return all results, or raise the first error among them."""
    for result in response.results:
        if isinstance(result, GatewayError):
            raise copied(result)
    return [result for result in response.results if isinstance(result, ImageResult)]


def only_result(response: PredictResponse) -> ImageResult:
    """Return the result of a request with one image, or raise its error."""
    (result,) = response.results
    if isinstance(result, GatewayError):
        raise copied(result)
    return result
