"""Read the named outputs in a predict response of a model that is no classifier. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError
from flask_server.serving.signatures import TensorInfo

#: The outputs of a signature for one image, by name. Strings are an array of dtype object.
Outputs = Mapping[str, NDArray[np.generic]]

#: numpy's dtypes by TensorFlow's names; bfloat16, which numpy lacks, becomes float32.
DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_BFLOAT16": np.float32,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
}


def read_outputs(rows: object, *, count: int, outputs: Sequence[TensorInfo]) -> list[Outputs]:
    """Return the outputs of each of ``count`` images, or raise ServingError.

    ``outputs`` are all outputs of the signature. A row of a response has the values of a single
    output themselves, and those of several by name.
    """
    if not isinstance(rows, list) or len(rows) != count:
        raise ServingError(f"Serving's response is not a list of {count} predictions.")
    if len(outputs) == 1:
        return [{outputs[0].name: _array(row, outputs[0])} for row in rows]
    return [
        {tensor.name: _array(output_of(row, tensor.name), tensor) for tensor in outputs}
        for row in rows
    ]


def outputs_of_columns(
    columns: object, *, count: int, outputs: Sequence[TensorInfo], is_one: bool
) -> list[Outputs]:
    """Return the outputs of each image from a response in column format, or raise ServingError.

    With ``is_one`` the outputs are those of one image, and may lack the dimension of the images.
    """
    rows = _rows_of_columns(columns, count=count, outputs=outputs, is_one=is_one)
    return read_outputs(rows, count=count, outputs=outputs)


def _rows_of_columns(
    columns: object, *, count: int, outputs: Sequence[TensorInfo], is_one: bool
) -> object:
    if len(outputs) == 1:
        return rows_of_column(columns, is_one=is_one)
    by_name = {
        tensor.name: rows_of_column(output_of(columns, tensor.name), is_one=is_one)
        for tensor in outputs
    }
    if any(not isinstance(column, list) or len(column) != count for column in by_name.values()):
        raise ServingError(f"An output in Serving's response is not a list of {count} items.")
    return [{name: column[row] for name, column in by_name.items()} for row in range(count)]


def rows_of_column(column: Any, *, is_one: bool) -> Any:  # noqa: ANN401 (any JSON)
    """Return the rows of an output in column format.

    With ``is_one`` the output is that of one image, and may lack the dimension of the images.
    """
    has_rows = isinstance(column, list) and len(column) == 1
    return column if has_rows or not is_one else [column]


def output_of(row: object, name: str) -> object:
    """Return an output of a row or of all columns, or raise ServingError if it is not there."""
    if not isinstance(row, dict) or name not in row:
        raise ServingError(f"A prediction in Serving's response lacks the output {name}.")
    return row[name]


def _array(values: object, tensor: TensorInfo) -> NDArray[np.generic]:
    """Return the values as the declared dtype; JSON strings and base64 objects stay as they are."""
    if tensor.dtype not in DTYPES:
        strings = np.empty((), object)
        strings[()] = values
        return strings
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError("not numbers")
        return array.astype(DTYPES[tensor.dtype])
    except (TypeError, ValueError, OverflowError) as error:
        raise ServingError(
            f"The output {tensor.name} in Serving's response is not an array of numbers."
        ) from error
