"""Execute a batch: concatenate the inputs, run the model once, split the outputs.

Requests whose shapes differ beyond the first dimension are batched only with padding. If a batch
fails, its requests run one by one, so that an error reaches only the request that caused it. A
batch that exceeds the deadline is not repeated: all of its requests fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_server.engines.protocol import Tensors
from model_server.errors import DeadlineExceeded, Internal, InvalidArgument, ModelServerError
from model_server.internal_errors import as_internal_error
from serving_tracing import spans

if TYPE_CHECKING:
    from serving_tracing.tracing import Waiting

Run = Callable[[Tensors, float | None], Tensors]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """The sizes and shapes that a batch may have."""

    max_rows: int
    """Maximum rows of one run."""

    allowed_rows: Sequence[int] = ()
    """If not empty: the only batch sizes to run; smaller batches are filled up to the next one."""

    pads_inputs: bool = False
    """Batches requests of different shapes, padded to the largest one."""


@dataclass(eq=False, slots=True)
class Task:
    """One request of a batch: its inputs, and its outputs or its error after the run."""

    inputs: Tensors
    rows: int
    outputs: Tensors | None = None
    error: ModelServerError | None = None

    deadline: float | None = None
    """When the run has to end, by the monotonic clock; None for the limit of the engine."""

    waiting: Waiting | None = field(default_factory=spans.waiting)
    """The begin of the wait in the trace of the request, if it is traced."""

    @property
    def shape(self) -> tuple[object, ...]:
        """The shapes and types that requests of one batch share without padding."""
        return tuple((name, a.shape[1:], a.dtype.str) for name, a in sorted(self.inputs.items()))

    def result(self) -> Tensors:
        """Return the outputs, or raise what went wrong."""
        if self.error is not None:
            raise self.error
        if self.outputs is None:
            raise Internal("The batch ended without a result for this request")
        return self.outputs


def row_count(inputs: Tensors) -> int:
    """Return the batch size, the first dimension of all inputs, or raise InvalidArgument."""
    if not inputs:
        raise InvalidArgument("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in inputs.values()):
        raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
    counts = {array.shape[0] for array in inputs.values()}
    if len(counts) > 1:
        raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
    return int(counts.pop())


def deadline_after(timeout_s: float | None) -> float | None:
    """Return the deadline of a task whose time limit starts now."""
    return None if timeout_s is None else monotonic() + timeout_s


def _timeout_s(group: Sequence[Task]) -> float | None:
    """Return the time limit of a batch: that of the member which may take longest."""
    deadlines = [task.deadline for task in group if task.deadline is not None]
    return None if len(deadlines) < len(group) else max(deadlines) - monotonic()


def run_tasks(run: Run, tasks: Iterable[Task], limits: BatchLimits) -> None:
    """Run the tasks in as few batches as possible; set the outputs or the error of each."""
    groups: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        groups.setdefault(() if limits.pads_inputs else task.shape, []).append(task)
    for group in groups.values():
        _run_group(run, group, limits)


def _run_group(run: Run, group: list[Task], limits: BatchLimits) -> None:
    try:
        with (
            as_internal_error("running a batch"),
            spans.batch(group, wait="queue", shared="inference"),
        ):
            outputs = _batch_outputs(run, group, limits)
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


def _batch_outputs(run: Run, group: list[Task], limits: BatchLimits) -> Tensors:
    inputs = {name: _concatenated([t.inputs[name] for t in group]) for name in group[0].inputs}
    rows = sum(task.rows for task in group)
    parts = [
        _part_outputs(
            lambda filled: run(filled, _timeout_s(group)),
            inputs,
            slice(start, min(start + limits.max_rows, rows)),
            group[-1],
            limits,
        )
        for start in range(0, max(rows, 1), limits.max_rows)
    ]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _concatenated(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    if len({array.ndim for array in arrays}) > 1:
        raise InvalidArgument("Tensors of different ranks cannot be batched")
    sizes = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    return np.concatenate([_padded(array, sizes) for array in arrays])


def _padded(array: NDArray[Any], sizes: list[int]) -> NDArray[Any]:
    """Pad the array to the sizes with its own first value."""
    if list(array.shape[1:]) == sizes:
        return array
    if array.size == 0:
        raise InvalidArgument("Got empty tensor in batch of non-empty tensors.")
    full = np.full((array.shape[0], *sizes), array.reshape(-1)[0], dtype=array.dtype)
    full[tuple(map(slice, array.shape))] = array
    return full


def _part_outputs(
    run: Callable[[Tensors], Tensors], inputs: Tensors, part: slice, last: Task, limits: BatchLimits
) -> Tensors:
    """Run a part of the rows, filled up to an allowed batch size, and return its outputs.

    The filling is copies of the first row of the last request; a part without rows is not filled.
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
    """Return the first row of the last request; if that request is empty, the last row."""
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
