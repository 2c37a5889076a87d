"""The route that answers one image or tensor, or several images, as the model's task says."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, request

from flask_server.errors import GatewayError, InvalidParameter
from flask_server.inference.npy import Tensor
from flask_server.inference.outcomes import TaskOptions
from flask_server.inference.predict import ImageResult, PredictRequest, PredictResponse
from flask_server.inference.ranking import RankingOptions
from flask_server.serving.live_model import LiveModel
from flask_server.views.task_answers import ANSWERS, MEDIA_TYPES, Answer, check_parameters
from flask_server.web.negotiation import JSON, accepted, agreed
from flask_server.web.parameters import (
    PREDICT_PARAMETERS,
    flag,
    fraction,
    text,
    texts,
    version_label,
    whole_number,
)
from flask_server.web.problem_documents import problem
from flask_server.web.route_traits import traits
from flask_server.web.services import ask, gateway, only_result
from flask_server.web.submissions import Submission, read_submission

bp = Blueprint("predict", __name__)


@bp.post("/models/<name>/predict")
@traits(limited=True, predicts=True)
def predict(name: str) -> Response:
    """Return the result for one or several images or for a tensor, by default as JSON."""
    settings = gateway().settings
    submission = read_submission(request, settings.max_images, PREDICT_PARAMETERS)
    _check_accept(submission)
    predict_request = predict_request_of(name, submission)
    report = flag(submission.parameters, "report")
    response = ask(predict_request)
    media_type = _media_type(submission, response.task, response.model)
    if media_type == JSON:
        several = submission.several or response.has_rows
        return jsonify(_body(response, several=several, report=report))
    return ANSWERS[response.task].write(Answer(submission.uploads[0], response), media_type)


def _check_accept(submission: Submission) -> None:
    """Raise NotAcceptable if no model could respond in a media type that the caller accepts."""
    if submission.several:
        reason = "Predictions for several images are sent as JSON only."
        agreed(accepted(request), (JSON,), reason)
    else:
        agreed(accepted(request), MEDIA_TYPES, default=JSON)


def _media_type(submission: Submission, task: str, model: str) -> str:
    """Return the media type of the response; raise NotAcceptable with the task of the model."""
    if submission.several:
        return JSON
    upload = submission.uploads[0]
    what = "a tensor" if isinstance(upload, Tensor) else "an image"
    reason = f"Model {model} has the task {task}, and the request has {what}."
    return agreed(accepted(request), ANSWERS[task].media_types(upload), reason, default=JSON)


def _check(live: LiveModel, submission: Submission) -> None:
    """Raise a GatewayError for a parameter or media type that the model's task does not have."""
    check_parameters(submission.parameters, live)
    _media_type(submission, live.spec.task, live.name)


def _body(response: PredictResponse, *, several: bool, report: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": response.model, "version": response.version}
    body |= split_label_json(response.split_label)
    if several:
        results = [_result(result, response.task, report=report) for result in response.results]
        body["results"] = results
    else:
        body |= _result(only_result(response), response.task, report=report)
    if response.warnings:
        body["warnings"] = list(response.warnings)
    return body


def split_label_json(label: str | None) -> dict[str, str]:
    """Return the member with the version label that a split chose; nothing without a split."""
    return {} if label is None else {"version_label": label}


def predict_request_of(name: str, submission: Submission) -> PredictRequest:
    """Return the predict request of a submission; raise InvalidParameter."""
    parameters = submission.parameters
    version = whole_number(parameters, "version", least=0)
    label = version_label(parameters)
    if version is not None and label is not None:
        raise InvalidParameter("version and label are both given; one of them is allowed.")
    return PredictRequest(
        model=name,
        uploads=submission.uploads,
        options=TaskOptions(
            ranking=RankingOptions(
                top_k=whole_number(parameters, "top_k", least=1),
                threshold=fraction(parameters, "threshold"),
                labels=texts(parameters, "labels"),
            ),
            output=text(parameters, "output"),
            normalize=flag(parameters, "normalize"),
        ),
        check=partial(_check, submission=submission),
        version=version,
        label=label,
    )


def _result(result: ImageResult | GatewayError, task: str, *, report: bool) -> dict[str, Any]:
    if isinstance(result, GatewayError):
        return {"error": problem(result)}
    document = ANSWERS[task].body(result.outcome)
    return document | {"report": result.report} if report and result.report else document
