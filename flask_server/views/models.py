"""The routes that describe the models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, jsonify

from flask_server.errors import UnknownModel
from flask_server.serving.model_state import ModelState
from flask_server.serving.models import Models
from flask_server.serving.traffic import Traffic
from flask_server.serving.upstream import AddressState
from flask_server.web.problem_documents import problem
from flask_server.web.route_traits import traits
from flask_server.web.services import gateway, services_of

bp = Blueprint("models", __name__)


@bp.get("/models")
@traits(revalidated=True)
def index() -> Response:
    """Return all models without their labels, the default model first."""
    models = gateway().models
    extra = {"models_file_problem": models.file_problem} if models.file_problem else {}
    return jsonify(models=list(_summaries(models)), **extra)


@bp.get("/models/<name>")
@traits(revalidated=True)
def show(name: str) -> Response:
    """Return one model with its whole spec."""
    state = gateway().models.state(name)
    spec = orjson.Fragment(state.newest.spec_json) if state.newest else None
    traffic = state.traffic
    found = {"shadow_results": _shadow_results(name, traffic)} if traffic.shadow else {}
    return jsonify(_summary(name, state) | found | {"spec": spec})


def _shadow_results(name: str, traffic: Traffic) -> dict[str, Any]:
    """Return what became of the copies for each label; None where metrics are turned off."""
    lives = {label: traffic.versions.get(label) for label in traffic.shadow}
    versions = {label: live.version if live else None for label, live in lives.items()}
    figures = services_of(current_app).shadow_figures
    return figures(name, versions) if figures else dict.fromkeys(versions)


def _summaries(models: Models) -> Iterator[dict[str, Any]]:
    for name in models.names:
        with suppress(UnknownModel):  # it was removed meanwhile
            yield _summary(name, models.state(name))


def _summary(name: str, state: ModelState) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "name": name,
        "default": name == gateway().models.default,
        "ready": state.ready,
        "version": state.newest.version if state.newest else None,
        "versions": [
            {"version": v.version, "state": v.state, "error": v.error} for v in state.versions
        ],
        "version_labels": dict(state.labels),
    }
    if state.addresses:
        # Without the addresses themselves, which callers need not know.
        summary["addresses"] = [_address(each) for each in state.addresses]
    if state.traffic.split:
        summary["split"] = dict(state.traffic.split)
    if state.traffic.shadow:
        summary["shadow"] = dict(state.traffic.shadow)
    live = state.newest
    if live:
        spec = live.spec
        # Without spec.to_dict(), which copies every label.
        summary |= {"task": spec.task, "trained": spec.trained}
        summary |= {"input": asdict(spec.input) if spec.input else None}
        summary |= {"output": spec.output.to_dict(), "source": spec.source}
        if spec.boxes is not None:
            summary["boxes"] = spec.boxes.to_dict()
        summary |= {"engine": live.engine.name, "precision": live.engine.precision}
        summary["score_drift"] = state.score_drift
        summary["warnings"] = [*live.warnings, *live.notes, *state.warnings]
    if state.problem:
        # Without the request id, so that the ETag stays the same as long as the problem lasts.
        summary["error"] = {k: v for k, v in problem(state.problem).items() if k != "request_id"}
    return summary


def _address(state: AddressState) -> dict[str, Any]:
    return {
        "reachable": state.problem is None,
        "versions": list(state.versions),
        "other_versions": list(state.other_versions),
    }
