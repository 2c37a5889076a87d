"""Check a tensor of a request against the input of a signature, and split it into rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidTensor, TooManyImages, UnsupportedTask
from flask_server.inference.npy import Tensor
from flask_server.serving.outputs import DTYPES
from flask_server.serving.signatures import TensorInfo
from model_catalog.errors import shown


@dataclass(frozen=True, slots=True)
class TensorRows:
    """The rows of a tensor in the dtype and shape of a model's input."""

    rows: list[NDArray[np.generic]]

    several: bool
    """Whether the tensor has a batch dimension, so that each row has a result of its own."""


def rows_of(tensor: Tensor, declared: TensorInfo, max_rows: int) -> TensorRows:
    """Return the rows; raise InvalidTensor or TooManyImages before a value is copied.

    The tensor has the shape of one row, or a batch dimension before it.
    """
    if declared.dtype not in DTYPES:
        raise UnsupportedTask(
            f"The model's input {declared} is {declared.dtype[:30]}; it takes no tensors."
        )
    dtype = np.dtype(DTYPES[declared.dtype])
    several = _is_batch(tensor.values, declared)
    if not tensor.values.size:
        raise InvalidTensor("The tensor has no values.")
    _check_dtype(tensor, dtype, declared)
    count = len(tensor.values) if several else 1
    if count > max_rows:
        raise TooManyImages(f"The tensor has {count} rows; at most {max_rows} are allowed.")
    rows = list(tensor.values) if several else [tensor.values]
    return TensorRows([_cast(row, dtype) for row in rows], several)


def _is_batch(values: NDArray[np.generic], declared: TensorInfo) -> bool:
    """Tell whether the array has a batch dimension; raise InvalidTensor if it has another shape."""
    row = declared.shape[1:]
    if not declared.shape or _fits(values.shape, row):
        return False
    if _fits(values.shape[1:], row) and values.ndim:
        return True
    wanted = ", ".join("any" if size < 0 else str(size) for size in row)
    raise InvalidTensor(
        f"The tensor has the shape {shown(str(values.shape))}; the model's input {declared.name}"
        f" takes [{wanted}], or several of them with one dimension more in front."
    )


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(shape) == len(declared) and all(
        wanted in (-1, size) for size, wanted in zip(shape, declared, strict=True)
    )


def _check_dtype(tensor: Tensor, dtype: np.dtype[np.generic], declared: TensorInfo) -> None:
    values = tensor.values
    is_integer = values.dtype.kind in "iu" and dtype.kind in "iu"
    if not (tensor.from_json and is_integer or np.can_cast(values.dtype, dtype, "same_kind")):
        raise InvalidTensor(
            f"The tensor has the dtype {values.dtype}; the model's input {declared.name} takes"
            f" {dtype}."
        )
    if is_integer:
        _check_range(values, dtype, declared)


def _check_range(
    values: NDArray[np.generic], dtype: np.dtype[np.generic], declared: TensorInfo
) -> None:
    """Raise InvalidTensor for integers that the dtype lacks: numpy would change them silently."""
    limits = np.iinfo(dtype.name)
    least, most = int(np.min(values)), int(np.max(values))
    if least < limits.min or most > limits.max:
        raise InvalidTensor(
            f"The tensor has values from {least} to {most}; the model's input"
            f" {declared.name} takes {limits.min} to {limits.max}."
        )


def _cast(row: NDArray[np.generic], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(row, dtype).reshape(row.shape)
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidTensor(f"The tensor has values that are no finite numbers of {dtype}.")
    return values
