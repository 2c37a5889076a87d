"""What a view needs of its app and its request."""

from __future__ import annotations

from flask import g

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError
from flask_server.inference.predict import ImageResult, PredictRequest, PredictResponse
from flask_server.web.services import gateway


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
