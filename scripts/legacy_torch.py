"""Read the tensors of a file in PyTorch's format before version 1.6, without PyTorch.

Such a file has five pickles (magic number, protocol, system, tensors, storage keys), and after them
the bytes of the storages. A tensor is a view of a storage: offset, sizes and strides in elements.
The pickles may name nothing but ordered dictionaries, tensors and storages, so reading a file runs
none of its code.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from scripts.errors import ScriptError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
#: Elements of one tensor: strides of zero make small files large.
_MAX_ELEMENTS = 1 << 28
#: Bytes of a storage's own length, which stands in front of its elements.
_LENGTH = 8
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}

#: What unpickling a damaged file raises.
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    MemoryError,
    OverflowError,
)

Tensors = dict[str, NDArray[Any]]


class TorchFileError(ScriptError):
    """The file is not of this format, is damaged, or names something that is not allowed."""


class _StorageKind(NamedTuple):
    dtype: str


class _Storage(NamedTuple):
    """A storage that a pickle refers to; its elements follow after the pickles."""

    key: str
    dtype: str
    elements: int


class _View(NamedTuple):
    """A tensor: a part of a storage; all numbers count elements."""

    storage: _Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool = False
    hooks: object = None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """Return one of the few things that a file of tensors needs, or raise TorchFileError."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View
        if module == "torch" and name in _DTYPES:
            return _StorageKind(_DTYPES[name])
        raise TorchFileError(f"The file names {module}.{name}; allowed are tensors only.")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - whatever the file holds
        """Return the storage of a reference."""
        match pid:
            case ("storage", _StorageKind(dtype), str(key), _, int(elements), None):
                return _Storage(key, dtype, elements)
        raise TorchFileError("The file refers to a storage in an unknown way.")


def read_tensors(content: bytes) -> Tensors:
    """Return the tensors by name, each contiguous, or raise TorchFileError."""
    file = io.BytesIO(content)
    magic, protocol, _system, views, keys = (_unpickled(file) for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not isinstance(views, Mapping):
        raise TorchFileError("The file is not of PyTorch's format before version 1.6.")
    if not isinstance(keys, list):
        raise TorchFileError("The file has no list of its storages.")
    kinds = {view.storage.key: view.storage for view in views.values() if isinstance(view, _View)}
    storages = {key: _elements(file, kinds[key]) for key in keys if key in kinds}
    return {str(name): _tensor(str(name), view, storages) for name, view in views.items()}


def _unpickled(file: io.BytesIO) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return _Unpickler(file).load()
    except _DAMAGED as error:
        raise TorchFileError(f"The file is damaged: {error}") from error


def _elements(file: io.BytesIO, storage: _Storage) -> NDArray[Any]:
    """Return the elements of the storage that comes next in the file."""
    length = int.from_bytes(file.read(_LENGTH), "little")
    data = file.read(storage.elements * np.dtype(storage.dtype).itemsize)
    elements = len(data) // np.dtype(storage.dtype).itemsize
    if not length == elements == storage.elements:
        raise TorchFileError(
            f"A storage has {min(length, elements)} elements; {storage.elements} are needed."
        )
    return np.frombuffer(data, storage.dtype)


def _tensor(name: str, view: object, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the elements that the view selects, or raise TorchFileError."""
    if not isinstance(view, _View) or view.storage.key not in storages:
        raise TorchFileError(f"{name} is not a tensor of a storage in the file.")
    storage = storages[view.storage.key]
    # NumPy does not check these numbers: a wrong one would read memory outside the file.
    if not _is_inside(view, len(storage)):
        raise TorchFileError(f"{name} lies outside its storage of {len(storage)} elements.")
    steps = [stride * storage.itemsize for stride in view.strides]
    return as_strided(storage[view.offset :], view.sizes, steps).copy()


def _is_inside(view: _View, elements: int) -> bool:
    """Return whether all numbers are valid and all elements of the view lie in its storage."""
    if not isinstance(view.sizes, tuple) or not isinstance(view.strides, tuple):
        return False
    numbers = (view.offset, *view.sizes, *view.strides)
    if len(view.sizes) != len(view.strides) or not all(map(_is_count, numbers)):
        return False
    if 0 in view.sizes:
        return view.offset <= elements
    steps = zip(view.sizes, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    return last < elements and math.prod(view.sizes) <= _MAX_ELEMENTS


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0
