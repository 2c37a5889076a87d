"""The liveness and readiness routes for orchestrators and load balancers."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.errors import ModelNotReady
from flask_server.web.route_traits import traits
from flask_server.web.services import gateway

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@traits(needs_key=False, health_check=True)
def alive() -> Response:
    """Return 200 as long as this process serves requests."""
    return jsonify(status="ok")


@bp.get("/readyz")
@traits(needs_key=False, health_check=True)
def ready() -> Response:
    """Return 200 when all configured models, or the one in ``?model=``, are ready."""
    models = gateway().models
    wanted = request.args.get("model")
    names = (wanted,) if wanted is not None else models.names
    missing = {name: fault for name in names if (fault := models.fault(name))}
    if missing:
        reasons = " ".join(f"{name}: {fault}" for name, fault in missing.items())
        raise ModelNotReady(f"Not ready: {', '.join(missing)}. {reasons}")
    return jsonify(status="ready", models=list(names))
