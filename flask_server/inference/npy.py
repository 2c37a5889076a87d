"""Read tensors of a request: ``.npy`` files and nested JSON lists.

Of a ``.npy`` file only the header is parsed, up to ``MAX_HEADER`` bytes of it, and nothing is ever
unpickled. The values stay where they are: an array over the bytes of the file, not a copy.
"""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from flask_server.errors import InvalidTensor
from model_catalog.errors import shown

# Headers of Python 2 are read too; the warning is for the author of the file.
warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required", UserWarning)

#: The first bytes of every ``.npy`` file.
MAGIC = npy_format.MAGIC_PREFIX
#: Maximum bytes of the header; numpy writes 128 unless there are dozens of dimensions.
MAX_HEADER = 1024
MAX_DIMENSIONS = 16

_NO_NUMBERS = "The tensor is not made of numbers; allowed are nested lists of them."
_MAGIC_BYTES = 8
#: Exceptions of numpy and Python's parser of literals for invalid headers, found by fuzzing.
_HEADER_ERRORS = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
    OverflowError,
)
_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request, not checked against a model yet."""

    values: NDArray[np.generic]
    """Booleans, integers or floats; read-only where they are the bytes of a file."""

    from_json: bool = False
    """Whether the numbers come from JSON, which has no dtypes: only their values count."""


def is_npy(data: bytes) -> bool:
    """Tell whether the bytes begin like a ``.npy`` file."""
    return data.startswith(MAGIC)


def read_npy(data: bytes) -> Tensor:
    """Return the tensor in a ``.npy`` file without copying it, or raise InvalidTensor."""
    shape, in_columns, dtype, start = _header(data)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise InvalidTensor(
            f"The .npy file has the dtype {shown(str(dtype))}; allowed are booleans, integers and"
            " floats."
        )
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= size <= len(data) for size in shape):
        raise InvalidTensor(
            f"The .npy file has the shape {shown(str(shape))}; allowed are up to {MAX_DIMENSIONS}"
            " dimensions, as large as the file."
        )
    count, size = math.prod(shape), len(data) - start
    if count * dtype.itemsize != size:
        raise InvalidTensor(
            f"The .npy file has {size} bytes of values; its shape and dtype need"
            f" {shown(str(count * dtype.itemsize))}."
        )
    values = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
    return Tensor(values.reshape(shape, order="F" if in_columns else "C"))


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """Return shape, whether the values are in column order, dtype, and where the values begin."""
    file = io.BytesIO(data[: _MAGIC_BYTES + 4 + MAX_HEADER])
    try:
        version = npy_format.read_magic(file)
        read_header = _READERS.get(version)
        if read_header is None:
            raise ValueError(f"its format version is {version[0]}.{version[1]}")
        shape, in_columns, dtype = read_header(file, max_header_size=MAX_HEADER)
        return shape, in_columns, dtype, file.tell()
    except _HEADER_ERRORS as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InvalidTensor(f"The .npy file cannot be read: {reason}.") from error


def json_tensor(document: object) -> Tensor:
    """Return the tensor of a number or of nested lists of numbers, or raise InvalidTensor."""
    if _has_text(document):
        raise InvalidTensor(_NO_NUMBERS)
    try:
        values = np.asarray(document)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidTensor(
            "The lists of the tensor differ in length; allowed is one size per dimension."
        ) from error
    if values.dtype.kind not in "biuf" or not values.size:
        raise InvalidTensor(_NO_NUMBERS)
    return Tensor(values, from_json=True)


def _has_text(document: object) -> bool:
    """Return whether there is a string: numpy would give all of them the size of the longest."""
    level = [document]
    while level:
        kinds = set(map(type, level))
        if str in kinds:
            return True
        lists = [item for item in level if isinstance(item, list)] if list in kinds else []
        level = [item for items in lists for item in items]
    return False
