"""Read signatures from SignatureDefs, as in ``saved_model.pb``, without an engine.

The result equals what TensorFlow reports: tensor names, types and declared shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from model_server.engines.protocol import Signature, TensorInfo
from model_server.errors import DataLoss, NotFound
from serving_api.dtypes import ENUM_NAMES
from serving_api.messages import Message, message

FILE: Final = "saved_model.pb"
_SERVE: Final = "serve"

#: TensorFlow numbers its types in this order.
_SHORT_NAMES: Final = dict(enumerate(ENUM_NAMES))


def read_signatures(path: Path) -> dict[str, Signature]:
    """Return the signatures of the ``serve`` meta graph, or raise a ModelServerError."""
    file = path / FILE
    try:
        saved = message("SavedModel").FromString(file.read_bytes())
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise DataLoss(f"Can't parse {file} as binary proto") from error
    for graph in saved.meta_graphs:
        if list(graph.meta_info_def.tags) == [_SERVE]:
            return {entry.key: signature_of(entry.value) for entry in graph.signature_def}
    raise NotFound(f"{file} has no meta graph with the tag {_SERVE}")


def signature_of(definition: Message) -> Signature:
    """Return the signature that a SignatureDef describes."""
    return Signature(
        inputs={entry.key: _tensor(entry.value) for entry in definition.inputs},
        outputs={entry.key: _tensor(entry.value) for entry in definition.outputs},
        method_name=definition.method_name,
        default_tensors={entry.key: entry.value for entry in definition.defaults},
    )


def _tensor(info: Message) -> TensorInfo:
    return TensorInfo(
        name=info.name,
        dtype=_SHORT_NAMES.get(info.dtype, "INVALID"),
        shape=None
        if info.tensor_shape.unknown_rank
        else tuple(dim.size for dim in info.tensor_shape.dim),
    )
