"""Write the responses of GetModelMetadata and GetModelStatus. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from model_server.engines.protocol import Signature, TensorInfo
from model_server.errors import InvalidArgument
from model_server.grpc_api.messages import set_spec
from model_server.models.versions import VersionStatus
from model_server.transport.grpc_status import CODES
from serving_api.messages import Message, message
from serving_api.tensor_types import dtype_of

FIELD: Final = "signature_def"
_TYPE_URL: Final = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
_STATES: Final = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


def check_fields(fields: Sequence[str]) -> None:
    """Raise InvalidArgument unless the fields that are asked for can be answered."""
    if not fields:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != FIELD:
            raise InvalidArgument(f"Metadata field {field} is not supported")


def metadata_answer(name: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """Return a GetModelMetadataResponse with all signatures."""
    described = message("SignatureDefMap")()
    for key, signature in signatures.items():
        _describe(described.signature_def.add(key=key).value, signature)
    response = message("GetModelMetadataResponse")()
    set_spec(response.model_spec, name, version)
    entry = response.metadata.add(key=FIELD)
    entry.value.type_url = _TYPE_URL
    entry.value.value = described.SerializeToString()
    return bytes(response.SerializeToString())


def _describe(definition: Message, signature: Signature) -> None:
    definition.SetInParent()
    for infos, tensors in (
        (definition.inputs, signature.inputs),
        (definition.outputs, signature.outputs),
    ):
        for key, info in tensors.items():
            _fill(infos.add(key=key).value, info)
    definition.method_name = signature.method_name
    for key, tensor in signature.default_tensors.items():
        definition.defaults.add(key=key, value=tensor)


def _fill(described: Message, info: TensorInfo) -> None:
    described.name = info.name
    described.dtype = dtype_of(info.dtype)
    described.tensor_shape.SetInParent()
    described.tensor_shape.unknown_rank = info.shape is None
    for size in info.shape or ():
        described.tensor_shape.dim.add(size=size)


def status_answer(statuses: Iterable[VersionStatus]) -> bytes:
    """Return a GetModelStatusResponse with the versions in the given order."""
    response = message("GetModelStatusResponse")()
    for status in statuses:
        entry = response.model_version_status.add(
            version=status.version, state=_STATES[status.state]
        )
        entry.status.SetInParent()
        entry.status.error_code = CODES[status.error_code]
        entry.status.error_message = status.error_message
    return bytes(response.SerializeToString())
