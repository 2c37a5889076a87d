"""The routes that orchestrators and load balancers ask."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.errors import ModelNotReady
from flask_server.web.request_context import gateway

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def alive() -> Response:
    """Answer that this process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
def ready() -> Response:
    """Answer 200 when every configured model can be asked, or the one in ``?model=``."""
    models = gateway().models
    wanted = request.args.get("model")
    names = (wanted,) if wanted is not None else models.names
    missing = [name for name in names if not models.state(name).ready]
    if missing:
        raise ModelNotReady(f"Not ready: {', '.join(missing)}.")
    return jsonify(status="ready", models=list(names))
