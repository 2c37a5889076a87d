"""The original's routes. Their contract never changes."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.inference.predict import PredictRequest
from flask_server.web.admission import counted
from flask_server.web.request_context import ask, gateway, only
from flask_server.web.submissions import form_base64

bp = Blueprint("original", __name__)


@bp.post("/imageclassifier/predict/")
@counted
def predict() -> Response:
    """Answer the five best classes of the picture in the form field ``b64`` as triples."""
    upload = form_base64(request.form.get("b64"))
    result = ask(PredictRequest(model=gateway().models.default, uploads=[upload]))
    response = jsonify([[p.class_id, p.label, p.score] for p in only(result).predictions])
    if result.warnings:
        response.headers["X-Model-Warning"] = " ".join(result.warnings)
    return response


@bp.route("/hello/", methods=["GET", "POST"])
def hello() -> str:
    """Answer the original's ping."""
    return "Hello, World!"
