"""What a view needs of its app and its request."""

from __future__ import annotations

from typing import cast

from flask import current_app, g

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError
from flask_server.inference.predict import Gateway, ImageResult, PredictRequest, PredictResponse

EXTENSION = "image_gateway"


def gateway() -> Gateway:
    """Return the app's gateway."""
    return cast(Gateway, current_app.extensions[EXTENSION])


def ask(question: PredictRequest) -> PredictResponse:
    """Put the question to the gateway; its deadline begins now, when the body has arrived."""
    deadline = Deadline(gateway().settings.deadline_s)
    return gateway().classify(question, deadline, g.stopwatch)


def only(answer: PredictResponse) -> ImageResult:
    """Return the result of a question with one picture, or raise its error."""
    (result,) = answer.results
    if isinstance(result, GatewayError):
        raise result
    return result
