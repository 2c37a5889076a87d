"""Which part of which page is made by which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generator import (
    catalog,
    commands,
    gateway,
    http_api,
    model_server,
    model_server_api,
    packages,
)
from docs.generator.markdown import DOCS, between

Part = Callable[[], str]

PAGES: Mapping[str, Mapping[str, Part]] = {
    "reference/commands.md": {
        "overview": commands.overview,
        "options": commands.options,
        "scripts": commands.scripts,
        "targets": commands.targets,
    },
    "reference/settings.md": {"settings": gateway.settings},
    "reference/errors.md": {"errors": gateway.errors},
    "reference/metrics.md": {"gateway": gateway.metrics, "model server": model_server.metrics},
    "reference/http_api.md": {"routes": http_api.routes},
    "reference/rest_api.md": {
        "routes": model_server_api.rest_routes,
        "statuses": model_server_api.statuses,
        "limits": model_server_api.rest_limits,
    },
    "reference/grpc_api.md": {
        "methods": model_server_api.grpc_methods,
        "messages": model_server_api.grpc_messages,
        "statuses": model_server_api.statuses,
        "limits": model_server_api.grpc_limits,
    },
    "reference/models_toml.md": {
        "keys": catalog.model_keys,
        "input": catalog.input_keys,
        "boxes": catalog.boxes_keys,
        "logging": catalog.logging_keys,
    },
    "reference/model_spec.md": {"spec": catalog.spec_fields, "output": catalog.output_fields},
    "reference/model_server_flags.md": {"flags": model_server.flags},
    "reference/extras.md": {"extras": packages.extras},
    "compatibility.md": {"versions": packages.versions},
}


def generated(page: str) -> str:
    """Return the text of a page with its generated parts as the code has them now."""
    text = Path(DOCS, page).read_text(encoding="utf-8")
    for name, part in PAGES[page].items():
        text = between(text, name, part())
    return text


def write() -> None:
    """Write the generated parts of all pages."""
    for page in PAGES:
        Path(DOCS, page).write_text(generated(page), encoding="utf-8")
