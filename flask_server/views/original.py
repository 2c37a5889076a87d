"""The routes of the project this gateway replaces; their requests and responses never change."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.inference.explain import check_ranks
from flask_server.inference.predict import PredictRequest
from flask_server.inference.ranking import DEFAULT_TOP_K
from flask_server.views.pictures import with_warnings
from flask_server.views.task_answers import result_of
from flask_server.web.route_traits import traits
from flask_server.web.services import ask, gateway, only_result
from flask_server.web.submissions import form_base64, form_file

bp = Blueprint("original", __name__)


@bp.post("/imageclassifier/predict/")
@traits(limited=True, predicts=True)
def predict() -> Response:
    """Return the five best classes of the image in the form field ``b64`` as triples."""
    upload = form_base64(request)
    default = gateway().models.default
    response = ask(PredictRequest(model=default, uploads=[upload], check=check_ranks))
    best = only_result(response).predictions[:DEFAULT_TOP_K]
    triples = [[p.class_id, p.label, p.score] for p in best]
    return with_warnings(jsonify(triples), response.warnings)


@bp.post("/inference")
@traits(limited=True, predicts=True)
def inference() -> Response:
    """Return the default model's result for the form field ``file``, an image or ``.npy`` file."""
    upload = form_file(request)
    response = ask(PredictRequest(model=gateway().models.default, uploads=[upload]))
    return with_warnings(jsonify(result=result_of(response)), response.warnings)


@bp.route("/hello/", methods=["GET", "POST"])
@traits(needs_key=False)
def hello() -> str:
    """Return the greeting that clients of the original use as a ping."""
    return "Hello, World!"
