"""Map the names of tensor types: short names, TensorFlow's ``DT_`` names, numpy's names.

String tensors are numpy arrays of ``bytes`` objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Short names, used in error messages, to names of the enum values, used in model metadata.
#: In the order of their numbers, from 0 on.
ENUM_NAMES: Final = {
    "INVALID": "DT_INVALID",
    "float": "DT_FLOAT",
    "double": "DT_DOUBLE",
    "int32": "DT_INT32",
    "uint8": "DT_UINT8",
    "int16": "DT_INT16",
    "int8": "DT_INT8",
    "string": "DT_STRING",
    "complex64": "DT_COMPLEX64",
    "int64": "DT_INT64",
    "bool": "DT_BOOL",
    "qint8": "DT_QINT8",
    "quint8": "DT_QUINT8",
    "qint32": "DT_QINT32",
    "bfloat16": "DT_BFLOAT16",
    "qint16": "DT_QINT16",
    "quint16": "DT_QUINT16",
    "uint16": "DT_UINT16",
    "complex128": "DT_COMPLEX128",
    "half": "DT_HALF",
    "resource": "DT_RESOURCE",
    "variant": "DT_VARIANT",
    "uint32": "DT_UINT32",
    "uint64": "DT_UINT64",
}
SHORT_NAMES: Final = {enum: short for short, enum in ENUM_NAMES.items()}

_NUMPY_NAMES: Final = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "object": "string",
}


def short_name(array: NDArray[Any]) -> str:
    """Return TensorFlow's short name for the type of an array.

    An array of a quantised type has one field, whose name is that of the type.
    """
    if array.dtype.names:
        return array.dtype.names[0]
    return _NUMPY_NAMES.get(array.dtype.name, array.dtype.name)


def string_array(values: Sequence[bytes]) -> NDArray[Any]:
    """Return a vector of byte strings; numpy's own type for these would cut zeros at their end."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def numpy_dtype(short: str) -> np.dtype[Any]:
    """Return numpy's type for a short name; only types that REST requests can carry have one."""
    names = {tensorflow: numpy for numpy, tensorflow in _NUMPY_NAMES.items()}
    return np.dtype(names.get(short, short))
