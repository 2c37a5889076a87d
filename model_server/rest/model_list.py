"""Write the bodies of GET /v1/models and GET /v1/config, extensions of the REST API. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model_server.models.versions import (
    All,
    Latest,
    ModelConfig,
    Policy,
    Specific,
    VersionStatus,
)
from model_server.rest.metadata import status_entries


def models_body(statuses: Mapping[str, Sequence[VersionStatus]]) -> bytes:
    """Return the names of the configured models, and the states of their versions."""
    return _printed(
        {
            "models": list(statuses),
            "model_version_status": {
                name: status_entries(versions) for name, versions in statuses.items()
            },
        }
    )


def config_body(configs: Iterable[ModelConfig]) -> bytes:
    """Return the running configuration as ModelServerConfig in protobuf's JSON form."""
    return _printed({"model_config_list": {"config": [_config(config) for config in configs]}})


def _config(config: ModelConfig) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": config.name,
        "base_path": str(config.base_path),
        "model_platform": "tensorflow",
        "model_version_policy": _policy(config.policy),
    }
    if config.labels:
        labels = {label: str(version) for label, version in sorted(config.labels.items())}
        described["version_labels"] = labels
    if config.logging is not None:
        described["logging_config"] = {
            "log_collector_config": {
                "type": "file",
                "filename_prefix": config.logging.filename_prefix,
            },
            "sampling_config": {"sampling_rate": config.logging.sampling_rate},
        }
    return described


def _policy(policy: Policy) -> dict[str, Any]:
    match policy:
        case All():
            return {"all": {}}
        case Specific(versions):
            return {"specific": {"versions": [str(version) for version in sorted(versions)]}}
        case Latest(count):
            return {"latest": {"num_versions": max(count, 1)}}
    raise AssertionError(policy)


def _printed(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n".encode("utf-8", "surrogateescape")
