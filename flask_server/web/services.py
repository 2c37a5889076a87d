"""The parts of the app that its views use, made once by ``create_app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError
from flask_server.inference.predict import Gateway, ImageResult, PredictRequest, PredictResponse
from flask_server.web import request_context
from flask_server.web.admission import InFlight

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


def install(app: Flask, services: Services) -> None:
    """Give the app its services."""
    app.extensions[_KEY] = services


def services_of(app: Flask) -> Services:
    """Return the services of an app."""
    return cast(Services, app.extensions[_KEY])


def gateway() -> Gateway:
    """Return the gateway of the app that answers the current request."""
    return services_of(current_app).gateway


def ask(question: PredictRequest) -> PredictResponse:
    """Answer the images or the tensor, and write version and error codes into the request context.

    The deadline starts here, because the body has arrived.
    """
    context = request_context.current()
    deadline = Deadline(gateway().settings.deadline_s)
    with request_context.traced():
        answer = gateway().predict(question, deadline, context.stopwatch)
    context.version = answer.version
    context.image_codes = [
        result.code if isinstance(result, GatewayError) else None for result in answer.results
    ]
    return answer


def every(answer: PredictResponse) -> list[ImageResult]:
    """Return all results, or raise the first error among them."""
    for result in answer.results:
        if isinstance(result, GatewayError):
            raise result
    return [result for result in answer.results if isinstance(result, ImageResult)]


def only(answer: PredictResponse) -> ImageResult:
    """Return the result of a request with one image, or raise its error."""
    (result,) = answer.results
    if isinstance(result, GatewayError):
        raise result
    return result
