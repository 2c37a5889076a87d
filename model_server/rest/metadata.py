"""Write the bodies of model status and metadata responses as protobuf's JSON printer does. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from model_server.codec.dtypes import ENUM_NAMES
from model_server.engines.protocol import Signature, TensorInfo
from model_server.models.versions import VersionStatus


def status_body(statuses: Iterable[VersionStatus]) -> bytes:
    """Return the body of a status response, with the versions in the given order."""
    entries = [
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
    return f"{_printed({'model_version_status': entries})}\n".encode("utf-8", "surrogateescape")


def metadata_body(model: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """Return the body of a metadata response; ``signature_def`` contains ``signature_def``."""
    spec = _printed({"name": model, "version": str(version), "signature_name": ""})
    described = {name: _signature(signatures[name]) for name in sorted(signatures)}
    signature_def = _printed({"signature_def": described})
    return (
        f'{{\n"model_spec":{spec}\n,\n"metadata": {{"signature_def": {signature_def}\n}}\n}}\n'
    ).encode("utf-8", "surrogateescape")


def signature_text(signature: Signature) -> str:
    """Return a signature as protobuf's debug text, as some error messages quote it."""
    return "".join(
        (
            "goo.gle/debugonly   \n",
            *(_entry_text("inputs", *item) for item in sorted(signature.inputs.items())),
            *(_entry_text("outputs", *item) for item in sorted(signature.outputs.items())),
            f'method_name: "{signature.method_name}"\n' if signature.method_name else "",
        )
    )


def _entry_text(field: str, alias: str, info: TensorInfo) -> str:
    dims = "".join(f"      dim {{\n        size: {size}\n      }}\n" for size in info.shape or ())
    shape = "      unknown_rank: true\n" if info.shape is None else dims
    return (
        f'{field} {{\n  key: "{alias}"\n  value {{\n    name: "{info.name}"\n'
        f"    dtype: {ENUM_NAMES.get(info.dtype, info.dtype)}\n"
        f"    tensor_shape {{\n{shape}    }}\n  }}\n}}\n"
    )


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
