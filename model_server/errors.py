"""Define the error classes of the model server, one for each of TensorFlow's status codes.

* ModelServerError
  + Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists,
    PermissionDenied, ResourceExhausted, FailedPrecondition, Aborted, OutOfRange,
    Unimplemented, Internal, Unavailable, DataLoss, Unauthenticated

Nothing here knows about HTTP; ``rest`` gives each code its status.
"""

from __future__ import annotations

from typing import ClassVar


class ModelServerError(Exception):
    """A request, a load or a start failed; ``code`` is the name TensorFlow gives the failure."""

    code: ClassVar[str] = "UNKNOWN"

    @property
    def message(self) -> str:
        """The text without its code."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Cancelled(ModelServerError):
    """The work was given up before it ended."""

    code = "CANCELLED"


class Unknown(ModelServerError):
    """Something failed that has no code of its own."""

    code = "UNKNOWN"


class InvalidArgument(ModelServerError):
    """What the caller sent can never work."""

    code = "INVALID_ARGUMENT"


class DeadlineExceeded(ModelServerError):
    """The model run took longer than it may."""

    code = "DEADLINE_EXCEEDED"


class NotFound(ModelServerError):
    """A model, a version or a file does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(ModelServerError):
    """Something is there that should not be."""

    code = "ALREADY_EXISTS"


class PermissionDenied(ModelServerError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(ModelServerError):
    """Memory, room in a queue or time in a queue ran out."""

    code = "RESOURCE_EXHAUSTED"


class FailedPrecondition(ModelServerError):
    """The server is not in the state that the request needs."""

    code = "FAILED_PRECONDITION"


class Aborted(ModelServerError):
    """The work was stopped by other work."""

    code = "ABORTED"


class OutOfRange(ModelServerError):
    """A value lies beyond the end of what is there."""

    code = "OUT_OF_RANGE"


class Unimplemented(ModelServerError):
    """The server cannot do this at all."""

    code = "UNIMPLEMENTED"


class Internal(ModelServerError):
    """A defect of the server or of the engine."""

    code = "INTERNAL"


class Unavailable(ModelServerError):
    """The server cannot take the request now; later it may."""

    code = "UNAVAILABLE"


class DataLoss(ModelServerError):
    """A file is damaged."""

    code = "DATA_LOSS"


class Unauthenticated(ModelServerError):
    """The caller did not say who they are."""

    code = "UNAUTHENTICATED"


#: Every leaf by its code, for engines that report codes.
BY_CODE: dict[str, type[ModelServerError]] = {
    leaf.code: leaf for leaf in ModelServerError.__subclasses__()
}
