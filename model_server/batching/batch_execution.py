"""Run several requests as one: join their rows, run the model once, part the outputs. Pure.

A caller can rely on two promises: requests of different inner shapes are joined only where padding
is wanted, and when a joined run fails its members are run one by one, so that an error reaches
only the request that caused it. A run that took too long is not repeated: it fails all its members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.engines.protocol import Tensors
from model_server.errors import DeadlineExceeded, Internal, InvalidArgument, ModelServerError
from model_server.internal_errors import as_internal_error

Run = Callable[[Tensors], Tensors]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """How requests may be joined."""

    max_rows: int
    """Most rows of one run."""

    allowed_rows: Sequence[int] = ()
    """If not empty: the only numbers of rows that are run; the next bigger one is filled up."""

    pads_inputs: bool = False
    """Joins requests of different inner shapes, filled up to the biggest."""


@dataclass(eq=False, slots=True)
class Task:
    """One request on its way through a batch."""

    inputs: Tensors
    rows: int
    outputs: Tensors | None = None
    error: ModelServerError | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """What must agree between requests that are joined as they are."""
        return tuple((name, a.shape[1:], a.dtype.str) for name, a in sorted(self.inputs.items()))

    def result(self) -> Tensors:
        """Return the outputs, or raise what went wrong."""
        if self.error is not None:
            raise self.error
        if self.outputs is None:
            raise Internal("The request was lost on its way through a batch")
        return self.outputs


def row_count(inputs: Tensors) -> int:
    """Return the first dimension that all inputs share, or raise InvalidArgument."""
    if any(array.ndim == 0 for array in inputs.values()):
        raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
    counts = {array.shape[0] for array in inputs.values()}
    if len(counts) > 1:
        raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
    return counts.pop() if counts else 0


def run_tasks(run: Run, tasks: Iterable[Task], limits: BatchLimits) -> None:
    """Give every task its outputs or its error."""
    groups: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        groups.setdefault(() if limits.pads_inputs else task.shape, []).append(task)
    for group in groups.values():
        _run_group(run, group, limits)


def _run_group(run: Run, group: list[Task], limits: BatchLimits) -> None:
    try:
        with as_internal_error("running a batch"):
            outputs = _joined_outputs(run, group, limits)
    except ModelServerError as error:
        if len(group) == 1 or isinstance(error, DeadlineExceeded):
            for task in group:
                task.error = error
            return
        for task in group:
            _run_group(run, [task], limits)
        return
    start = 0
    for task in group:
        task.outputs = {name: array[start : start + task.rows] for name, array in outputs.items()}
        start += task.rows


def _joined_outputs(run: Run, group: list[Task], limits: BatchLimits) -> Tensors:
    inputs = {name: _joined([t.inputs[name] for t in group]) for name in group[0].inputs}
    rows = sum(task.rows for task in group)
    parts = [
        _sized_outputs(
            run, inputs, slice(start, min(start + limits.max_rows, rows)), group[-1], limits
        )
        for start in range(0, max(rows, 1), limits.max_rows)
    ]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    if len({array.ndim for array in arrays}) > 1:
        raise InvalidArgument("Tensors of different ranks cannot be joined")
    sizes = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    return np.concatenate([_padded(array, sizes) for array in arrays])


def _padded(array: NDArray[Any], sizes: list[int]) -> NDArray[Any]:
    """Fill the array up to the sizes with its own first value."""
    if list(array.shape[1:]) == sizes:
        return array
    if array.size == 0:
        raise InvalidArgument("Got empty tensor in batch of non-empty tensors.")
    full = np.full((array.shape[0], *sizes), array.reshape(-1)[0], dtype=array.dtype)
    full[tuple(map(slice, array.shape))] = array
    return full


def _sized_outputs(
    run: Run, inputs: Tensors, part: slice, last: Task, limits: BatchLimits
) -> Tensors:
    """Run some of the rows, filled up with copies of the last request's first row.

    Where there is no row, there is nothing to fill up with.
    """
    rows = part.stop - part.start
    missing = next((size for size in limits.allowed_rows if size >= rows > 0), rows) - rows
    filled = {
        name: np.concatenate([array[part], *[_last_row(inputs[name], last)] * missing])
        if missing
        else array[part]
        for name, array in inputs.items()
    }
    outputs = run(filled)
    for array in outputs.values():
        _check_output(array, rows + missing)
    return {name: array[:rows] for name, array in outputs.items()}


def _last_row(array: NDArray[Any], last: Task) -> NDArray[Any]:
    """Return the first row of the last request in a joined array; of an empty one that before."""
    start = len(array) - max(last.rows, 1)
    return array[start : start + 1]


def _check_output(array: NDArray[Any], rows: int) -> None:
    if array.ndim == 0:
        raise InvalidArgument("Batched output tensor has 0 dimensions")
    if array.shape[0] != rows:
        raise InvalidArgument(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension"
            " sizes of the input tensors"
        )
