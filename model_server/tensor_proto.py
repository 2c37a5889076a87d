"""Convert TensorProtos, for example those of warm-up files, to numpy arrays. Pure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_server.errors import InvalidArgument, Unimplemented

#: DataType number to the numpy type and the TensorProto field that holds the values.
_TYPES: Final = {
    1: ("<f4", "float_val"),
    2: ("<f8", "double_val"),
    3: ("<i4", "int_val"),
    4: ("u1", "int_val"),
    5: ("<i2", "int_val"),
    6: ("i1", "int_val"),
    9: ("<i8", "int64_val"),
    10: ("?", "bool_val"),
    22: ("<u4", "uint32_val"),
    23: ("<u8", "uint64_val"),
}
_STRING: Final = 7


def to_array(proto: Any) -> NDArray[Any]:  # noqa: ANN401 - a message made at run time
    """Return the tensor; as in TensorFlow, the last value is repeated for missing values.

    Raises Unimplemented for unknown types, and InvalidArgument for a wrong number of values.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.dtype == _STRING:
        return _filled(np.array(list(proto.string_val) + [b""], dtype=object)[:-1], shape)
    if proto.dtype not in _TYPES:
        raise Unimplemented(f"Tensors of type number {proto.dtype} cannot be read")
    dtype, field = _TYPES[proto.dtype]
    if proto.tensor_content:
        flat = np.frombuffer(proto.tensor_content, dtype=dtype)
    else:
        flat = np.array(getattr(proto, field), dtype=np.dtype(dtype))
    return _filled(flat, shape)


def _filled(flat: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    size = int(np.prod(shape, dtype=np.int64))
    if len(flat) > size or (size and not len(flat)):
        raise InvalidArgument(f"A tensor of shape {shape} holds {len(flat)} values")
    missing = size - len(flat)
    return (
        np.concatenate([flat, *([flat[-1:]] * missing)]).reshape(shape)
        if missing
        else flat.reshape(shape)
    )
