"""The routes that tell about the gateway itself: its numbers and its description."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, jsonify, render_template
from werkzeug.exceptions import NotFound

from flask_server.openapi.document import document
from flask_server.telemetry.metrics import CONTENT_TYPE, EXTENSION, Metrics
from flask_server.web.request_context import gateway

bp = Blueprint("documents", __name__)


@bp.get("/metrics")
def metrics() -> Response:
    """Answer the numbers in Prometheus's text format."""
    counted = current_app.extensions.get(EXTENSION)
    if counted is None:
        raise NotFound("Metrics are turned off here.")
    return Response(cast(Metrics, counted).text(), content_type=CONTENT_TYPE)


@bp.get("/openapi.json")
def openapi() -> Response:
    """Answer the description of the API for programs."""
    return jsonify(document(gateway().settings, gateway().models.default))


@bp.get("/docs")
def docs() -> str:
    """Answer the page that shows the description to people."""
    return render_template("docs.html")
