"""The liveness and readiness routes for orchestrators and load balancers."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flask_server.errors import ModelNotReady
from flask_server.web.parameters import query_of
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
    """Return 200 when all configured models, or the one in ``?model=``, are ready.

    Without ``?model=``, a model that was added at run time counts once it has been ready.
    """
    models = gateway().models
    wanted = query_of(request).get("model")
    faults = models.faults() if wanted is None else {wanted: models.fault(wanted)}
    missing = {name: fault for name, fault in faults.items() if fault is not None}
    if missing:
        reasons = " ".join(f"{name}: {fault}" for name, fault in missing.items())
        raise ModelNotReady(f"Not ready: {', '.join(missing)}. {reasons}")
    return jsonify(status="ready", models=list(faults))
