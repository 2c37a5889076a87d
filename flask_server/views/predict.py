"""The route that predicts the classes of one image or of several."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from flask_server.drawing import annotate
from flask_server.errors import GatewayError, InvalidParameter
from flask_server.inference.predict import ImageResult, PredictRequest, PredictResponse
from flask_server.inference.ranking import Prediction, RankingOptions
from flask_server.views.pictures import picture_answer, upright
from flask_server.web import request_context
from flask_server.web.negotiation import JPEG, JSON, PNG, accepted, agreed
from flask_server.web.parameters import flag, fraction, texts, version_label, whole_number
from flask_server.web.problem_documents import problem
from flask_server.web.route_traits import traits
from flask_server.web.services import ask, gateway, only
from flask_server.web.submissions import Submission, read_submission

bp = Blueprint("predict", __name__)


@bp.post("/models/<name>/predict")
@traits(limited=True, predicts=True)
def predict(name: str) -> Response:
    """Return the best classes of one or several images; for one image also drawn below it."""
    submission = read_submission(request, gateway().settings.max_images)
    form = _form(submission)
    predict_request = predict_request_of(name, submission)
    report = flag(submission.parameters, "report")
    response = ask(predict_request)
    if form == JSON:
        return jsonify(_body(response, several=submission.several, report=report))
    return _annotated(submission, response, form)


def _form(submission: Submission) -> str:
    if submission.several:
        reason = "Predictions for several images are sent as JSON only."
        return agreed(accepted(request), (JSON,), reason)
    return agreed(accepted(request), (JSON, PNG, JPEG), default=JSON)


def _body(response: PredictResponse, *, several: bool, report: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": response.model, "version": response.version}
    if several:
        body["results"] = [_result(result, report=report) for result in response.results]
    else:
        body |= _result(only(response), report=report)
    if response.warnings:
        body["warnings"] = list(response.warnings)
    return body


def _annotated(submission: Submission, response: PredictResponse, media_type: str) -> Response:
    predictions = only(response).predictions
    with (
        upright(submission.uploads[0]) as picture,
        request_context.current().stopwatch.stage("postprocess"),
    ):
        title = f"{response.model}, version {response.version}"
        drawn = annotate.annotated(picture, predictions, title=title, notices=response.warnings)
        return picture_answer(drawn, media_type, response.warnings)


def predict_request_of(name: str, submission: Submission) -> PredictRequest:
    """Return the predict request of a submission; raise InvalidParameter."""
    version = whole_number(submission.parameters, "version", least=0)
    label = version_label(submission.parameters)
    if version is not None and label is not None:
        raise InvalidParameter("version and label are both given; one of them is allowed.")
    return PredictRequest(
        model=name,
        uploads=submission.uploads,
        options=RankingOptions(
            top_k=whole_number(submission.parameters, "top_k", least=1),
            threshold=fraction(submission.parameters, "threshold"),
            labels=texts(submission.parameters, "labels"),
        ),
        version=version,
        label=label,
    )


def _result(result: ImageResult | GatewayError, *, report: bool) -> dict[str, Any]:
    if isinstance(result, GatewayError):
        return {"error": problem(result)}
    document: dict[str, Any] = {"predictions": _predictions(result.predictions)}
    return document | {"report": result.report} if report else document


def _predictions(predictions: list[Prediction]) -> list[dict[str, Any]]:
    return [{"class_id": p.class_id, "label": p.label, "score": p.score} for p in predictions]
