"""List the tensor types that a TensorProto can carry: numpy types and fields of the values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_catalog.protos import number
from serving_api.dtypes import ENUM_NAMES, short_name

STRING: Final = 7


@dataclass(frozen=True, slots=True)
class TensorType:
    """How the values of a type are encoded."""

    dtype: np.dtype[Any]
    """The type in memory; quantised types have one field of their name, as in TensorFlow."""

    field: int
    """The number of the field for values."""

    parts: np.dtype[Any] | None
    """The type of the numbers in that field; None for varints."""

    @property
    def plain(self) -> np.dtype[Any]:
        """The type without a field name."""
        return self.dtype if self.dtype.names is None else self.dtype[0]


def _field(name: str) -> int:
    return number("Tensor", name)


_FLOAT, _DOUBLE = np.dtype("<f4"), np.dtype("<f8")
_INT: Final = _field("int_val")
_QUANTIZED: Final = {11: "qint8", 12: "quint8", 13: "qint32", 15: "qint16", 16: "quint16"}
_PLAIN: Final = {
    1: TensorType(_FLOAT, _field("float_val"), _FLOAT),
    2: TensorType(_DOUBLE, _field("double_val"), _DOUBLE),
    **{
        dtype: TensorType(np.dtype(name), _INT, None)
        for dtype, name in {3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 17: "<u2"}.items()
    },
    8: TensorType(np.dtype("<c8"), _field("scomplex_val"), _FLOAT),
    9: TensorType(np.dtype("<i8"), _field("int64_val"), None),
    10: TensorType(np.dtype("?"), _field("bool_val"), None),
    18: TensorType(np.dtype("<c16"), _field("dcomplex_val"), _DOUBLE),
    19: TensorType(np.dtype("<f2"), _field("half_val"), None),
    22: TensorType(np.dtype("<u4"), _field("uint32_val"), None),
    23: TensorType(np.dtype("<u8"), _field("uint64_val"), None),
    **{
        dtype: TensorType(np.dtype([(name, name.removeprefix("q"))]), _INT, None)
        for dtype, name in _QUANTIZED.items()
    },
}
_BFLOAT16: Final = 14
_NUMBERS: Final = {short: dtype for dtype, short in enumerate(ENUM_NAMES)}


@cache
def tensor_type(dtype: int) -> TensorType | None:
    """Return the type with this DataType number; None if it is not a type of numbers."""
    if dtype == _BFLOAT16:
        from ml_dtypes import bfloat16  # numpy itself has no such type

        return TensorType(np.dtype(bfloat16), _field("half_val"), None)
    return _PLAIN.get(dtype)


def dtype_number(array: NDArray[Any]) -> int:
    """Return the DataType number for an array."""
    return _NUMBERS[short_name(array)]


def dtype_of(short: str) -> int:
    """Return the DataType number for a short name; 0 if there is none."""
    return _NUMBERS.get(short, 0)
