"""Write the bodies of model status and metadata responses as protobuf's JSON printer does. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from model_server.engines.protocol import Signature, TensorInfo
from model_server.models.versions import VersionStatus
from serving_api.dtypes import ENUM_NAMES


def status_body(statuses: Iterable[VersionStatus]) -> bytes:
    """Return the body of a status response, with the versions in the given order."""
    printed = _printed({"model_version_status": status_entries(statuses)})
    return f"{printed}\n".encode("utf-8", "surrogateescape")


def status_entries(statuses: Iterable[VersionStatus]) -> list[dict[str, Any]]:
    """Return the entry of each version in a status response."""
    return [
        {
            "version": str(status.version),
            "state": status.state,
            "status": {
                "error_code": status.error_code,
                "error_message": status.error_message,
            },
        }
        for status in statuses
    ]


def metadata_body(model: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """Return the body of a metadata response; ``signature_def`` contains ``signature_def``."""
    spec = _printed({"name": model, "version": str(version), "signature_name": ""})
    described = {name: _signature(signatures[name]) for name in sorted(signatures)}
    signature_def = _printed({"signature_def": described})
    return (
        f'{{\n"model_spec":{spec}\n,\n"metadata": {{"signature_def": {signature_def}\n}}\n}}\n'
    ).encode("utf-8", "surrogateescape")


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor(info) for name, info in sorted(signature.inputs.items())},
        "outputs": {name: _tensor(info) for name, info in sorted(signature.outputs.items())},
        "method_name": signature.method_name,
        "defaults": dict(signature.defaults),
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    sizes = info.shape or ()
    return {
        "name": info.name,
        "dtype": ENUM_NAMES.get(info.dtype, info.dtype),
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in sizes],
            "unknown_rank": info.shape is None,
        },
    }


def _printed(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, indent=1, ensure_ascii=False)
