"""What the gateway asks of a model server, whatever the protocol.

``client.RestServing`` uses TensorFlow Serving's REST API, ``grpc_client.GrpcServing`` its gRPC API,
and ``replicas.ReplicatedServing`` several of either.
Every failure is a ``ServingFault``, or ``ServableGone`` if the model, version or label is not
loaded: the request can then be repeated with another version.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import ServingError, ServingFault, ServingTimeout, ServingUnavailable
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.breaker import Breaker
from flask_server.serving.outputs import Outputs
from flask_server.serving.signatures import ForeignCall, Signatures, TensorInfo
from model_catalog.spec import InputSpec

#: The state of a version that can be called.
AVAILABLE = "AVAILABLE"

#: Maximum bytes of a response with status or metadata.
MAX_BYTES = 4 * 1024 * 1024
#: Maximum bytes of an error response; the message of a longer one is not read.
MAX_ERROR_BYTES = 64 * 1024
#: Maximum bytes of the response to a predict call that does not say how many it expects.
MAX_PREDICT_BYTES = 16 * 1024 * 1024

#: Texts of errors that the clients of both protocols raise.
NOT_REACHED = "The model server of {model} cannot be reached."
TIMED_OUT = "The model server of {model} did not answer in time."
CONNECTION_BROKE = "The connection to the model server of {model} broke."
TOO_MANY_BYTES = "The model server of {model} sent more bytes than the call allows."
#: The same for a server whose certificate is not trusted, or that refuses ours.
TLS_FAILED = "The TLS connection to the model server of {model} failed."

_ENGINE = re.compile(r"([a-z0-9_]{1,32})(?:; precision=([a-z0-9]{1,16}))?", re.ASCII)
_MAX_TEXT = 300

#: Returns the body of a predict call for some images.
Encoder = Callable[[Sequence[Pixels]], bytes]
#: Returns the body of a predict call for the bytes of some image files.
FileEncoder = Callable[[Sequence[bytes]], bytes]
#: Returns the body of a predict call for some tensors of the input's shape and dtype.
TensorEncoder = Callable[[Sequence[NDArray[Any]]], bytes]


class BrokenConnection(ServingUnavailable):
    """An open connection broke before the whole response had arrived."""


class NoConnection(ServingUnavailable):
    """There was no connection to send the call on, so it was certainly not executed."""


class ServableGone(Exception):
    """Serving does not have the model, version or label that the call names."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state that Serving reports for one version."""

    version: int
    state: str
    error: str

    addresses: int = 1
    """Number of addresses that have the version available; always 1 for a single address."""


@dataclass(frozen=True, slots=True)
class CallFormat:
    """What the predict calls of a model send and what is read of their responses."""

    signatures: Signatures

    spec: InputSpec | None
    """None for a model that does not take the pixels of images."""

    call: ForeignCall

    output: str | None
    """The name of the output with the scores; None if there is only one."""

    outputs: Sequence[TensorInfo]
    """The outputs that the task needs besides; none for scores."""


@dataclass(frozen=True, slots=True)
class AddressState:
    """What the last poll of a model found at one of several addresses."""

    address: str

    problem: ServingFault | None
    """Why the last poll failed, or the last call found no connection; None if neither.

    The address is then called only if no other has the version."""

    versions: tuple[int, ...]
    """The versions that can be called there, newest first."""

    other_versions: tuple[int, ...]
    """The versions that are not called there: they differ from those of the other addresses."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What computes a version; the embedded model server tells it, TensorFlow Serving does not."""

    name: str | None = None
    precision: str | None = None


def engine_info(text: str) -> EngineInfo:
    """Return the engine that the embedded model server tells as ``openvino; precision=bf16``."""
    found = _ENGINE.fullmatch(text)
    return EngineInfo(found[1], found[2]) if found else EngineInfo()


@dataclass(frozen=True, slots=True)
class Metadata:
    """The signatures of a version by name, as in REST's ``signature_def``, and its engine."""

    signatures: Mapping[str, Any]
    engine: EngineInfo


class OutputsReader(Protocol):
    """Returns the named outputs in a response for each image, or raises ServingError."""

    def __call__(self, response: Any, /, *, count: int) -> list[Outputs]: ...  # noqa: ANN401, D102


@dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """How the predict calls of one version are written and read."""

    encode: Encoder | None
    """Encodes images; None for a model that does not take their pixels."""

    encode_files: FileEncoder | None
    """Encodes image files as they are; only for an input of strings whose images have no size in
    the models file."""

    encode_tensors: TensorEncoder

    rows: Callable[[Any], object]
    """Returns the scores in a response, a row for each image, unchecked."""

    outputs: OutputsReader
    """Reads the outputs of a model that is no classifier."""


class Serving(ABC):
    """What serves a model: one server or several; safe to use from many threads."""

    @property
    @abstractmethod
    def servers(self) -> tuple[SingleServing, ...]:
        """The servers behind it."""

    @abstractmethod
    def server_of(self, model: str, version: int) -> SingleServing:
        """Return the server for the next call to this version, or raise ServableGone."""

    def addresses(self, model: str) -> tuple[AddressState, ...]:
        """Return the state of each of several addresses; nothing for a single one."""
        return ()

    def keep_only(self, models: Collection[str]) -> None:  # noqa: B027 - nothing to do for most
        """Forget what is known of all other models; a single server keeps nothing of any."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def status(self, model: str, deadline: Deadline) -> list[VersionStatus]:
        """Return the state of each version of the model, newest first."""

    @abstractmethod
    def label_version(self, model: str, label: str, deadline: Deadline) -> int:
        """Return the number of the version that has this version label."""

    @abstractmethod
    def metadata(self, model: str, version: int, deadline: Deadline) -> Metadata:
        """Return the version's signatures and its engine."""

    @abstractmethod
    def describe(
        self, model: str, version: int, signatures: Signatures, deadline: Deadline
    ) -> object:
        """Return the rows of the ``describe`` signature, which has the spec of our exports."""

    @abstractmethod
    def codec(self, model: str, version: int, format_: CallFormat) -> Codec:
        """Return the codec of the predict calls, or raise ServingError."""

    @abstractmethod
    def predict(
        self,
        model: str,
        version: int,
        body: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_PREDICT_BYTES,
    ) -> object:
        """Send a predict call and return the response, which the codec of the call reads.

        Predict calls are idempotent, so the call is repeated once if the connection breaks. A
        response of more than ``max_bytes`` is a ServingError.
        """


class SingleServing(Serving):
    """One TensorFlow Serving server and the connections to it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.breaker = Breaker()
        self._in_flight = 0
        self._counting = threading.Lock()

    @property
    def servers(self) -> tuple[SingleServing, ...]:
        """The server itself."""
        return (self,)

    def server_of(self, model: str, version: int) -> SingleServing:
        """Return the server itself."""
        return self

    @property
    def in_flight(self) -> int:
        """Number of calls in flight, without those that ask for the state of versions."""
        return self._in_flight

    @contextmanager
    def _guarded(self, model: str, deadline: Deadline) -> Iterator[None]:
        """Refuse the call while the circuit is open, else report its outcome to the breaker."""
        deadline.left()  # a request whose deadline has passed is not a failure of Serving
        if not self.breaker.allows():
            raise NoConnection(
                f"The model server of {model} did not answer the last calls; calls are refused"
                " until a probe succeeds.",
                address=self.root,
            )
        self._count(1)
        try:
            yield
        except (ServingUnavailable, ServingTimeout):
            self.breaker.failed()
            raise
        except (ServingFault, ServableGone):
            self.breaker.succeeded()
            raise
        finally:
            self._count(-1)
        self.breaker.succeeded()

    def _count(self, change: int) -> None:
        with self._counting:
            self._in_flight += change

    def _unexpected(self, model: str, call: str) -> ServingError:
        return ServingError(
            f"The response of the model server of {model} to a {call} call lacks the expected"
            " fields.",
            address=self.root,
        )


def names_missing_version(text: str) -> bool:
    """Tell whether an error message means that the version or label does not exist."""
    return "Unrecognized servable version" in text


def message_text(text: str) -> str:
    """Return Serving's error message, shortened to 300 characters, as text that can be written."""
    # Messages may quote bytes that are not UTF-8, and lone surrogates that cannot be written.
    return text.encode(errors="replace").decode()[:_MAX_TEXT]
