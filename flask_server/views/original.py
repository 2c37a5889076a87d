"""The routes of the project this gateway replaces; their requests and responses never change."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.inference.explain import check_ranks
from flask_server.inference.predict import PredictRequest
from flask_server.inference.ranking import DEFAULT_TOP_K
from flask_server.views.task_answers import result_of
from flask_server.web.route_traits import traits
from flask_server.web.services import ask, gateway, only
from flask_server.web.submissions import form_base64, form_file

bp = Blueprint("original", __name__)


@bp.post("/imageclassifier/predict/")
@traits(limited=True, predicts=True)
def predict() -> Response:
    """Return the five best classes of the image in the form field ``b64`` as triples."""
    upload = form_base64(request)
    default = gateway().models.default
    result = ask(PredictRequest(model=default, uploads=[upload], check=check_ranks))
    best = only(result).predictions[:DEFAULT_TOP_K]
    response = jsonify([[p.class_id, p.label, p.score] for p in best])
    if result.warnings:
        response.headers["X-Model-Warning"] = " ".join(result.warnings)
    return response


@bp.post("/inference")
@traits(limited=True, predicts=True)
def inference() -> Response:
    """Return the default model's result for the form field ``file``, an image or ``.npy`` file."""
    upload = form_file(request)
    answer = ask(PredictRequest(model=gateway().models.default, uploads=[upload]))
    response = jsonify(result=result_of(answer))
    if answer.warnings:
        response.headers["X-Model-Warning"] = " ".join(answer.warnings)
    return response


@bp.route("/hello/", methods=["GET", "POST"])
@traits(needs_key=False)
def hello() -> str:
    """Return the greeting that clients of the original use as a ping."""
    return "Hello, World!"
