"""The routes that tell about the gateway itself: its numbers and its description."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app
from werkzeug.exceptions import NotFound

from flask_server.metrics import CONTENT_TYPE, EXTENSION, Metrics

bp = Blueprint("documents", __name__)


@bp.get("/metrics")
def metrics() -> Response:
    """Answer the numbers in Prometheus's text format."""
    counted = current_app.extensions.get(EXTENSION)
    if counted is None:
        raise NotFound("Metrics are turned off here.")
    return Response(cast(Metrics, counted).text(), content_type=CONTENT_TYPE)
