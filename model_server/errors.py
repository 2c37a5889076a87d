"""Name every way the model server can fail, as TensorFlow's status codes do.

* ServingError
  + Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists,
    PermissionDenied, ResourceExhausted, FailedPrecondition, Aborted, OutOfRange,
    Unimplemented, Internal, Unavailable, DataLoss, Unauthenticated

Nothing here knows about HTTP; ``rest`` gives each code its status.
"""

from __future__ import annotations

from typing import ClassVar


class ServingError(Exception):
    """A request, a load or a start failed; ``code`` is the name TensorFlow gives the failure."""

    code: ClassVar[str] = "UNKNOWN"

    @property
    def message(self) -> str:
        """The text without its code."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Cancelled(ServingError):
    """The work was given up before it ended."""

    code = "CANCELLED"


class Unknown(ServingError):
    """Something failed that has no code of its own."""

    code = "UNKNOWN"


class InvalidArgument(ServingError):
    """What the caller sent can never work."""

    code = "INVALID_ARGUMENT"


class DeadlineExceeded(ServingError):
    """The model run took longer than it may."""

    code = "DEADLINE_EXCEEDED"


class NotFound(ServingError):
    """A model, a version or a file does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(ServingError):
    """Something is there that should not be."""

    code = "ALREADY_EXISTS"


class PermissionDenied(ServingError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(ServingError):
    """Memory, room in a queue or time in a queue ran out."""

    code = "RESOURCE_EXHAUSTED"


class FailedPrecondition(ServingError):
    """The server is not in the state that the request needs."""

    code = "FAILED_PRECONDITION"


class Aborted(ServingError):
    """The work was stopped by other work."""

    code = "ABORTED"


class OutOfRange(ServingError):
    """A value lies beyond the end of what is there."""

    code = "OUT_OF_RANGE"


class Unimplemented(ServingError):
    """The server cannot do this at all."""

    code = "UNIMPLEMENTED"


class Internal(ServingError):
    """A defect of the server or of the engine."""

    code = "INTERNAL"


class Unavailable(ServingError):
    """The server cannot take the request now; later it may."""

    code = "UNAVAILABLE"


class DataLoss(ServingError):
    """A file is damaged."""

    code = "DATA_LOSS"


class Unauthenticated(ServingError):
    """The caller did not say who they are."""

    code = "UNAUTHENTICATED"


#: Every leaf by its code, for engines that report codes.
BY_CODE: dict[str, type[ServingError]] = {leaf.code: leaf for leaf in ServingError.__subclasses__()}
