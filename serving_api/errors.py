"""Define an error class for each of TensorFlow's status codes.

* ModelServerError
  + Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists,
    PermissionDenied, ResourceExhausted, FailedPrecondition, Aborted, OutOfRange,
    Unimplemented, Internal, Unavailable, DataLoss, Unauthenticated

Nothing here knows about HTTP or gRPC.
"""

from __future__ import annotations

from typing import ClassVar


class ModelServerError(Exception):
    """A request, a load or a start has failed; ``code`` is TensorFlow's status code."""

    code: ClassVar[str] = "UNKNOWN"

    @property
    def message(self) -> str:
        """The text without the code."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Cancelled(ModelServerError):
    """The operation was cancelled."""

    code = "CANCELLED"


class Unknown(ModelServerError):
    """A failure for which no other code fits."""

    code = "UNKNOWN"


class InvalidArgument(ModelServerError):
    """The request is invalid, whatever the state of the server."""

    code = "INVALID_ARGUMENT"


class DeadlineExceeded(ModelServerError):
    """The model run exceeded its time limit."""

    code = "DEADLINE_EXCEEDED"


class NotFound(ModelServerError):
    """A model, a version or a file does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(ModelServerError):
    """The resource to create already exists."""

    code = "ALREADY_EXISTS"


class PermissionDenied(ModelServerError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(ModelServerError):
    """Memory, queue space or the time limit in a queue is exhausted."""

    code = "RESOURCE_EXHAUSTED"


class FailedPrecondition(ModelServerError):
    """The server is not in the state that the operation requires."""

    code = "FAILED_PRECONDITION"


class Aborted(ModelServerError):
    """The operation was aborted by a conflicting one."""

    code = "ABORTED"


class OutOfRange(ModelServerError):
    """A value is outside the valid range."""

    code = "OUT_OF_RANGE"


class Unimplemented(ModelServerError):
    """The server does not support this operation."""

    code = "UNIMPLEMENTED"


class Internal(ModelServerError):
    """An unexpected failure (a bug) in the server or the engine."""

    code = "INTERNAL"


class Unavailable(ModelServerError):
    """The server cannot handle the request now; a retry may succeed."""

    code = "UNAVAILABLE"


class DataLoss(ModelServerError):
    """A file is damaged."""

    code = "DATA_LOSS"


class Unauthenticated(ModelServerError):
    """The caller has not been identified."""

    code = "UNAUTHENTICATED"


#: Each error class by its code, in the order of TensorFlow's error numbers from 1 on.
BY_CODE: dict[str, type[ModelServerError]] = {
    leaf.code: leaf for leaf in ModelServerError.__subclasses__()
}
