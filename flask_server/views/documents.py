"""The routes for metrics, the OpenAPI document and the page that shows it."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, render_template
from werkzeug.exceptions import NotFound

from flask_server.openapi.document import document
from flask_server.telemetry.metrics import CONTENT_TYPE
from flask_server.web.route_traits import traits
from flask_server.web.services import gateway, services_of

bp = Blueprint("documents", __name__)


@bp.get("/metrics")
@traits(needs_key=False, health_check=True)
def metrics() -> Response:
    """Return the metrics in Prometheus's text format."""
    metrics_text = services_of(current_app).metrics_text
    if metrics_text is None:
        raise NotFound("Metrics are turned off here.")
    return Response(metrics_text(), content_type=CONTENT_TYPE)


@bp.get("/openapi.json")
@traits(needs_key=False, revalidated=True)
def openapi() -> Response:
    """Return the OpenAPI document."""
    return jsonify(
        document(gateway().settings, gateway().models.default, services_of(current_app).open_paths)
    )


@bp.get("/docs")
@traits(needs_key=False, revalidated=True)
def docs() -> str:
    """Return the page that shows the OpenAPI document."""
    return render_template("docs.html")
