"""Turn the JSON of a predict request into tensors. Pure.

The row format has ``instances``, one item per row; the column format has ``inputs``, one tensor per
input. The tensors have the types of the signature. Every failure is a ModelServerError with
TensorFlow Serving's message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from model_server.codec.exact_parser import JsonObject
from model_server.codec.json_writer import members, quote_value
from model_server.engines.protocol import TensorInfo, Tensors
from model_server.errors import InvalidArgument, ModelServerError
from model_server.rest.tensor_values import (
    MAX_RANK,
    Ragged,
    build_tensor,
    checked_values,
    is_base64,
    rectangular,
    shape_of,
    tensor,
)

Inputs = Mapping[str, TensorInfo]
Object = dict[str, Any]


def signature_name(document: Object) -> str:
    """Return the name of the signature, ``""`` for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {quote_value(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def is_row(document: Object) -> bool:
    """Tell whether the request has the row format, or raise InvalidArgument if it has none."""
    if "instances" not in document and "inputs" not in document:
        raise InvalidArgument("Missing 'inputs' or 'instances' key")
    if "instances" in document and "inputs" in document:
        raise InvalidArgument(
            f"JSON Value: {quote_value(document)} Not formatted correctly expecting only"
            " one of 'inputs' or 'instances' keys to exist "
        )
    return "instances" in document


def tensors(document: Object, inputs: Inputs) -> Tensors:
    """Return the input tensors of a predict request."""
    if is_row(document):
        return _from_rows(document, inputs)
    return _from_columns(document["inputs"], inputs)


def _from_columns(value: Any, inputs: Inputs) -> Tensors:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict) and not is_base64(value):
        return {name: _column(value, name, info) for name, info in sorted(inputs.items())}
    if len(inputs) > 1:
        raise InvalidArgument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors"
            " required as per tensorinfo_map"
        )
    [(name, info)] = inputs.items()
    return {name: tensor(value, info.dtype)}


def _column(value: Object, name: str, info: TensorInfo) -> NDArray[Any]:
    if name not in value:
        raise InvalidArgument(f"Missing named input: {name} in 'inputs' object.")
    return tensor(value[name], info.dtype)


def _from_rows(document: Object, inputs: Inputs) -> Tensors:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise InvalidArgument(
            f"JSON Value: {quote_value(document)} Expecting 'instances' to be an list/array"
        )
    if not rows:
        raise InvalidArgument(f"JSON Value: {quote_value(document)} No values in 'instances' array")
    try:
        return _rectangular_rows(rows, inputs)
    except (Ragged, ModelServerError):
        return _tensors_row_by_row(rows, inputs)


def _rectangular_rows(rows: list[Any], inputs: Inputs) -> Tensors:
    """Convert all rows at once, or raise Ragged or the error of any invalid row."""
    if not _is_named_row(rows[0]):
        if len(inputs) > 1:
            raise Ragged
        return {name: rectangular(rows, info.dtype) for name, info in inputs.items()}
    if not all(_has_each_once(row, inputs) for row in rows):
        raise Ragged
    return {
        name: rectangular([row[name] for row in rows], info.dtype) for name, info in inputs.items()
    }


def _has_each_once(row: Any, inputs: Inputs) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(row, dict) or row.keys() != inputs.keys():
        return False
    return not isinstance(row, JsonObject) or len(row.pairs) == len(row)


def _is_named_row(row: object) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _tensors_row_by_row(rows: list[Any], inputs: Inputs) -> Tensors:
    """Convert row by row, so that the first invalid row is the one that is reported."""
    named = _is_named_row(rows[0])
    if not named and len(inputs) > 1:
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map"
        )
    gathered = {name: _InputRows(info.dtype) for name, info in inputs.items()}
    for index, row in enumerate(rows):
        if named:
            _add_named(row, index, gathered)
        else:
            _add_plain(row, index, gathered)
    return {name: values.tensor(len(rows)) for name, values in gathered.items()}


def _add_plain(row: Any, index: int, gathered: dict[str, _InputRows]) -> None:  # noqa: ANN401
    if _is_named_row(row):
        raise InvalidArgument(f"Expecting value/list but got object at item {index} of input list")
    [values] = gathered.values()
    with _errors_prefixed(f"Failed to process element: {index} of 'instances' list."):
        values.add(row)


def _add_named(row: Any, index: int, gathered: dict[str, _InputRows]) -> None:  # noqa: ANN401
    if not _is_named_row(row):
        raise InvalidArgument(f"Expecting object but got list at item {index} of input list")
    for name, item in members(row):
        with _errors_prefixed(
            f"Failed to process element: {index} key: {name} of 'instances' list."
        ):
            if name not in gathered:
                raise InvalidArgument(f"JSON object: does not have named input: {name}")
            gathered[name].add(item)
    if row.keys() != gathered.keys():
        raise InvalidArgument(
            f"Failed to process element: {index} of 'instances' list. JSON object:"
            f" {quote_value(row)} keys must be equal to: {','.join(sorted(gathered))}"
        )


@contextmanager
def _errors_prefixed(text: str) -> Iterator[None]:
    try:
        yield
    except ModelServerError as error:
        raise InvalidArgument(f"{text} Error: {error}") from error


@dataclass(slots=True)
class _InputRows:
    """The values of one input, collected row by row."""

    dtype: str
    size: int = 0
    shape: tuple[int, ...] | None = None
    values: list[Any] = field(default_factory=list)

    def add(self, item: Any) -> None:  # noqa: ANN401 - any JSON value
        shape = shape_of(item)
        # The list of rows is one level more.
        values = checked_values(item, self.dtype, MAX_RANK - 1)
        if self.shape is None:
            self.size, self.shape = len(values), shape
        elif len(values) != self.size:
            raise InvalidArgument(f"Expecting tensor size: {self.size} but got: {len(values)}")
        elif shape != self.shape:
            raise InvalidArgument(
                f"Expecting shape {_shape_text(self.shape)} but got: {_shape_text(shape)}"
            )
        self.values += values

    def tensor(self, rows: int) -> NDArray[Any]:
        """Return the tensor; surplus values of names repeated within a row are dropped."""
        shape = self.shape or ()
        return build_tensor(self.values[: rows * self.size], (rows, *shape), self.dtype)


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
