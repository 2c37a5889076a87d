"""The route that shows how much each cell of an image contributes to the score of a class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from flask_server.drawing.heatmap import overlaid
from flask_server.errors import InvalidParameter, Overloaded
from flask_server.imaging.geometry import seen_box
from flask_server.inference import explain
from flask_server.inference.explain import ExplainRequest, Explanation
from flask_server.views.pictures import picture_answer, upright
from flask_server.views.predict import predict_request_of, split_label_json
from flask_server.web import request_context
from flask_server.web.negotiation import JPEG, JSON, PNG, accepted, agreed
from flask_server.web.parameters import PARAMETERS, flag, text, whole_number
from flask_server.web.route_traits import traits
from flask_server.web.services import deadline, gateway, services_of, with_affinity
from flask_server.web.submissions import Submission, read_submission
from model_catalog.errors import shown

bp = Blueprint("explain", __name__)

#: Maximum concurrent explanations per worker; each costs as much as dozens of predictions.
AT_ONCE = 2

EXPLAIN_PARAMETERS = (*PARAMETERS, "class", "grid", "format")
_FORMATS = {"png": PNG, "jpeg": JPEG, "json": JSON}
#: Six decimals are more than a float32 score has.
_DECIMALS = 6


@bp.post("/models/<name>/explain")
@traits(limited=True)
def heat(name: str) -> Response:
    """Return the heat map of one class, drawn over the image or as numbers."""
    submission = read_submission(request, 1, EXPLAIN_PARAMETERS)
    media_type, report = _media_type(submission), flag(submission.parameters, "report")
    explain_request = ExplainRequest(
        predict_request=with_affinity(predict_request_of(name, submission)),
        target_class=text(submission.parameters, "class"),
        grid=whole_number(submission.parameters, "grid", least=explain.MIN_GRID),
    )
    with _slot():
        context = request_context.current()
        with request_context.traced():
            explanation = explain.explain(gateway(), explain_request, deadline(), context.stopwatch)
        context.version = explanation.version
        if media_type == JSON:
            return jsonify(_body(explanation, report=report))
        return _drawn(submission, explanation, media_type)


@contextmanager
def _slot() -> Iterator[None]:
    slots = services_of(current_app).explanations
    if not slots.enter():
        raise Overloaded(f"{slots.limit} explanations are running already; try again soon.")
    try:
        yield
    finally:
        slots.leave()


def _media_type(submission: Submission) -> str:
    wanted = text(submission.parameters, "format")
    if wanted is None:
        return agreed(accepted(request), tuple(_FORMATS.values()))
    if wanted not in _FORMATS:
        raise InvalidParameter(f"format is {shown(wanted)}; allowed are {', '.join(_FORMATS)}.")
    return _FORMATS[wanted]


def _body(explanation: Explanation, *, report: bool) -> dict[str, Any]:
    width, height = explanation.report["size"]
    body: dict[str, Any] = {
        "model": explanation.model,
        "version": explanation.version,
        **split_label_json(explanation.split_label),
        "class_id": explanation.prediction.class_id,
        "label": explanation.prediction.label,
        "score": explanation.prediction.score,
        "grid": explanation.heat.round(_DECIMALS).tolist(),
        "box": list(seen_box((width, height), explanation.input_spec)),
    }
    if report:
        body["report"] = explanation.report
    if explanation.warnings:
        body["warnings"] = list(explanation.warnings)
    return body


def _drawn(submission: Submission, explanation: Explanation, media_type: str) -> Response:
    with upright(submission.uploads[0]) as picture:
        drawn = overlaid(picture, explanation)
        return picture_answer(drawn, media_type, explanation.warnings)
