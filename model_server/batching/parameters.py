"""Read batching parameters: the server's file and a version's ``batching_params.pbtxt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from model_server.batching.scheduler import BatchingOptions
from model_server.cpus import CPUS
from model_server.errors import InvalidArgument
from model_server.protos import read_message
from serving_api.messages import message

PARAMETERS_FILE: Final = "batching_params.pbtxt"


def read_parameters(path: Path | None) -> Any:  # noqa: ANN401 - a message made at run time
    """Return the BatchingParameters in the file, or the defaults without one."""
    return (
        message("BatchingParameters")()
        if path is None
        else read_message(path, "BatchingParameters")
    )


def thread_count(parameters: Any) -> int:  # noqa: ANN401 - a message made at run time
    """Return the number of threads that run batches, or raise InvalidArgument."""
    return _value(parameters, "num_batch_threads", CPUS, least=1)


def options(parameters: Any, queue_timeout_s: float | None) -> BatchingOptions:  # noqa: ANN401
    """Return the options of the batching queues, or raise InvalidArgument."""
    max_batch_size = _value(parameters, "max_batch_size", 1000, least=1)
    splits = parameters.enable_large_batch_splitting.value
    return BatchingOptions(
        max_batch_size=max_batch_size,
        batch_timeout_s=_value(parameters, "batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=_value(parameters, "max_enqueued_batches", 10),
        allowed_batch_sizes=tuple(parameters.allowed_batch_sizes),
        pads_inputs=parameters.pad_variable_length_inputs,
        max_execution_batch_size=_value(
            parameters, "max_execution_batch_size", max_batch_size, least=1
        )
        if splits
        else None,
        queue_timeout_s=queue_timeout_s,
    )


def _value(parameters: Any, name: str, default: int, *, least: int = 0) -> int:  # noqa: ANN401
    value = int(getattr(parameters, name).value) if parameters.HasField(name) else default
    if value < least:
        wanted = "positive" if least else "non-negative"
        raise InvalidArgument(f"{name} must be {wanted}; was {value}")
    return value
