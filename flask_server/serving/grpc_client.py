"""The client of TensorFlow Serving's gRPC API: sends and returns messages as bytes.

Only a ``grpc://`` or ``grpcs://`` address imports this module, since it needs grpcio. The first
call that needs a channel opens it, after gunicorn has forked its workers: channels do not survive a
fork.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import (
    Overloaded,
    ServingError,
    ServingFault,
    ServingTimeout,
    ServingUnavailable,
)
from flask_server.serving.grpc_encoding import (
    choose_codec,
    describe_request,
    model_spec,
    read_outputs,
    rows_of,
    signatures_of,
)
from flask_server.serving.signatures import Signatures
from flask_server.serving.tls import SYSTEM_TLS, TlsFiles, trusted_certificates
from flask_server.serving.transport import CONNECT_S
from flask_server.serving.upstream import (
    CONNECTION_BROKE,
    MAX_BYTES,
    MAX_ERROR_BYTES,
    MAX_PREDICT_BYTES,
    NOT_REACHED,
    TIMED_OUT,
    TLS_FAILED,
    TOO_MANY_BYTES,
    BrokenConnection,
    CallFormat,
    Codec,
    EngineInfo,
    Metadata,
    NoConnection,
    ServableGone,
    SingleServing,
    VersionStatus,
    engine_info,
    message_text,
    names_missing_version,
)
from serving_api.errors import ModelServerError
from serving_api.messages import Message, message
from serving_tracing import spans

#: Maximum bytes of any response; only calls that expect more than ``MAX_BYTES`` may get so many.
MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024

#: Seconds from the failure of a call until grpcio has seen that its connection is closed.
_RECONNECT_S: Final = 0.05

#: Seconds that a call must have waited without a response on its channel before a timeout gives up
#: the channel too: the connection may be dead although neither side has closed it.
_SILENCE_S: Final = 0.5

#: Metadata of the embedded model server.
_ENGINE_KEY: Final = "model-engine"

_PREDICTION: Final = "/tensorflow.serving.PredictionService/"
_MODEL: Final = "/tensorflow.serving.ModelService/"
_STATES: Final = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    # A new channel gets a connection of its own, not the one of a channel that was given up.
    ("grpc.use_local_subchannel_pool", 1),
    # A restarted server is found within a second, and so is one with a new address.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Limits of a look-up and of a connection.
    ("grpc.dns_ares_query_timeout", int(CONNECT_S * 1000)),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_S * 1000)),
    # A connection on which nothing arrives any more is given up, though no call of it has failed.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_send_message_length", -1),
    # The message of an error is metadata.
    ("grpc.max_metadata_size", MAX_ERROR_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_ERROR_BYTES),
)

#: Servers and grpcio itself both use UNAVAILABLE and RESOURCE_EXHAUSTED; only the texts differ.
_TLS: Final = "[Hh]andshake|CERTIFICATE_VERIFY_FAILED|SSL_ERROR"
_UNREACHABLE: Final = "failed to connect to all addresses|errors resolving|DNS resolution"
_BROKEN: Final = (
    "Stream removed|Socket closed|Connection reset|Broken pipe|Transport closed|recvmsg|sendmsg"
    "|Cancelling all calls|GOAWAY|Endpoint closing|[Kk]eepalive"
)
_SAID: Final = "The model server of {model} answered {code}: {text}"
#: Code and text of an error, our class, and our text. First match wins; an empty one fits all.
_ERRORS: Final[tuple[tuple[str, str, type[ServingFault], str], ...]] = (
    ("DEADLINE_EXCEEDED", "", ServingTimeout, TIMED_OUT),
    ("UNAVAILABLE", _TLS, ServingUnavailable, TLS_FAILED),
    ("UNAVAILABLE", _UNREACHABLE, NoConnection, NOT_REACHED),
    ("UNAVAILABLE", _BROKEN, BrokenConnection, CONNECTION_BROKE),
    (
        "CANCELLED",
        "",
        ServingUnavailable,
        "The connection to the model server of {model} was closed.",
    ),
    (
        "RESOURCE_EXHAUSTED",
        "CLIENT: Received message larger than max|Decompressed message larger than max",
        ServingError,
        TOO_MANY_BYTES,
    ),
    ("RESOURCE_EXHAUSTED", "message larger than max|metadata size exceeds", ServingError, _SAID),
    ("RESOURCE_EXHAUSTED", "", Overloaded, _SAID),
    ("UNAVAILABLE", "", Overloaded, _SAID),
    ("", "", ServingError, _SAID),
)


@dataclass(slots=True, eq=False)
class _Channel:
    """A channel of grpcio, and when a call of it was last answered.

    grpcio keeps the connection and threads of a channel that is only deleted. It is closed here
    once neither the client nor a running call has it any more.
    """

    grpc: Any
    answered_at: float = 0.0

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.grpc.close()


class GrpcServing(SingleServing):
    """A server that is asked over its gRPC API."""

    def __init__(self, root: str, tls: TlsFiles = SYSTEM_TLS) -> None:
        super().__init__(root)
        self._tls = tls if urlsplit(root).scheme == "grpcs" else None
        self._target = urlsplit(root).netloc
        self._lock = threading.Lock()
        self._channels: dict[int, _Channel] = {}

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            channels = list(self._channels.values())
        for channel in channels:
            channel.grpc.close()

    def status(self, model: str, deadline: Deadline) -> list[VersionStatus]:
        """Return the state of each version of the model, newest first."""
        request = message("GetModelStatusRequest")(model_spec=model_spec(model))
        data = self._call(model, f"{_MODEL}GetModelStatus", request.SerializeToString(), deadline)
        answer = self._parsed(model, "GetModelStatusResponse", data)
        return [_version_status(entry) for entry in answer.model_version_status]

    def label_version(self, model: str, label: str, deadline: Deadline) -> int:
        """Return the number of the version that has this version label."""
        with self._guarded(model, deadline):
            answer, _ = self._metadata(model, model_spec(model, label=label), deadline)
        if not answer.model_spec.HasField("version"):
            raise self._unexpected(model, "metadata")
        return int(answer.model_spec.version.value)

    def metadata(self, model: str, version: int, deadline: Deadline) -> Metadata:
        """Return the version's signatures and its engine."""
        with self._guarded(model, deadline):
            answer, engine = self._metadata(model, model_spec(model, version), deadline)
        found = [entry.value.value for entry in answer.metadata if entry.key == "signature_def"]
        if not found:
            raise self._unexpected(model, "metadata")
        definitions = self._parsed(model, "SignatureDefMap", found[-1])
        return Metadata(signatures_of(definitions), engine)

    def describe(
        self, model: str, version: int, signatures: Signatures, deadline: Deadline
    ) -> object:
        """Return the rows of the ``describe`` signature, which has the spec of our exports."""
        body = describe_request(model, version, signatures)
        return rows_of(self.predict(model, version, body, deadline), None, is_one=False)

    def codec(self, model: str, version: int, format_: CallFormat) -> Codec:
        """Return the codec of PredictRequests and PredictResponses, or raise ServingError."""
        return choose_codec(model_spec(model, version), format_)

    def predict(
        self,
        model: str,
        version: int,
        body: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_PREDICT_BYTES,
    ) -> dict[str, NDArray[Any]]:
        """Send a PredictRequest, which names model and version itself, and return the outputs."""
        method = f"{_PREDICTION}Predict"
        with self._guarded(model, deadline):
            try:
                data = self._call(model, method, body, deadline, max_bytes)
            except BrokenConnection:
                # grpcio notices a moment later that the channel needs another connection.
                time.sleep(min(_RECONNECT_S, deadline.left()))
                data = self._call(model, method, body, deadline, max_bytes)
        try:
            return read_outputs(data, max_bytes)
        except ModelServerError as error:
            raise self._invalid(model) from error

    def _metadata(
        self, model: str, spec: Message, deadline: Deadline
    ) -> tuple[Message, EngineInfo]:
        request = message("GetModelMetadataRequest")(
            model_spec=spec, metadata_field=["signature_def"]
        )
        method = f"{_PREDICTION}GetModelMetadata"
        data, metadata = self._call_with_metadata(
            model, method, request.SerializeToString(), deadline
        )
        engine = engine_info(str(metadata.get(_ENGINE_KEY, "")))
        return self._parsed(model, "GetModelMetadataResponse", data), engine

    def _parsed(self, model: str, name: str, data: bytes) -> Message:
        try:
            return message(name).FromString(data)
        except DecodeError as error:
            raise self._invalid(model) from error

    def _invalid(self, model: str) -> ServingError:
        return ServingError(
            f"The model server of {model} sent an invalid gRPC response.", address=self.root
        )

    def _call(
        self,
        model: str,
        method: str,
        request: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_BYTES,
    ) -> bytes:
        return self._call_with_metadata(model, method, request, deadline, max_bytes)[0]

    def _call_with_metadata(
        self,
        model: str,
        method: str,
        request: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_BYTES,
    ) -> tuple[bytes, dict[str, str | bytes]]:
        """Return the response and its trailing metadata."""
        with self._translated_errors(model):
            channel = self._channel(max_bytes)
            with self._without_silence(channel):
                send = channel.grpc.unary_unary(method).with_call
                response, call = self._sent(send, method, request, deadline)
        if len(response) > max_bytes:
            raise ServingError(TOO_MANY_BYTES.format(model=model), address=self.root)
        return response, dict(call.trailing_metadata() or ())

    def _sent(
        self,
        send: Callable[..., tuple[bytes, grpc.Call]],
        method: str,
        request: bytes,
        deadline: Deadline,
    ) -> tuple[bytes, grpc.Call]:
        span = spans.grpc_call(self._target, method)
        if span is None:
            return send(request, timeout=deadline.left())
        with span as call:
            try:
                sent = send(request, timeout=deadline.left(), metadata=tuple(call.headers.items()))
            except grpc.RpcError as error:
                call.set_grpc_code(error.code().name)
                raise
            call.set_grpc_code("OK")
            return sent

    @contextmanager
    def _without_silence(self, channel: _Channel) -> Iterator[None]:
        """Give up the channel if the call times out and no call of it was answered meanwhile.

        grpcio itself gives up a connection only when pings have failed, which takes 15 seconds,
        and longer where an open circuit lets few calls through. Calls that still wait keep the
        channel.
        """
        began = time.monotonic()
        try:
            yield
        except grpc.RpcError as error:
            waited_s = time.monotonic() - began
            is_silent = channel.answered_at < began and waited_s >= _SILENCE_S
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and is_silent:
                self._give_up(channel)
            raise
        channel.answered_at = time.monotonic()

    def _give_up(self, channel: _Channel) -> None:
        """Let the next call open another channel instead of this one."""
        with self._lock:
            kept = {key: each for key, each in self._channels.items() if each is not channel}
            self._channels = kept

    def _channel(self, max_bytes: int) -> _Channel:
        """Return the channel for responses of this size, and open it where there is none.

        The limit of a channel holds for all of its calls. Most need little, so that calls with
        large responses have a channel of their own.
        """
        limit = MAX_BYTES if max_bytes <= MAX_BYTES else MAX_RESPONSE_BYTES
        with self._lock:
            if limit not in self._channels:
                options = [*_OPTIONS, ("grpc.max_receive_message_length", limit)]
                self._channels[limit] = _Channel(self._opened(options))
            return self._channels[limit]

    def _opened(self, options: Sequence[tuple[str, int]]) -> Any:  # noqa: ANN401 (no types)
        if self._tls is None:
            return grpc.insecure_channel(self._target, options)
        files = (self._tls.key, self._tls.certificate)
        key, certificate = (None if file is None else file.read_bytes() for file in files)
        credentials = grpc.ssl_channel_credentials(
            trusted_certificates(self._tls), key, certificate
        )
        return grpc.secure_channel(self._target, credentials, options)

    @contextmanager
    def _translated_errors(self, model: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise self._error_of(model, error.code().name, error.details() or "") from error
        except OSError as error:  # a certificate file is gone
            raise ServingUnavailable(TLS_FAILED.format(model=model), address=self.root) from error
        except ValueError as error:  # the channel was closed
            raise self._error_of(model, "CANCELLED", "") from error

    def _error_of(self, model: str, code: str, text: str) -> Exception:
        """Return the error for a call that ended with this code."""
        if code == "NOT_FOUND" or names_missing_version(text):
            return ServableGone(message_text(text))
        kind, sentence = next(
            (kind, sentence)
            for of_code, of_text, kind, sentence in _ERRORS
            if of_code in ("", code) and re.search(of_text, text)
        )
        said = message_text(text) or "no error message"
        return kind(sentence.format(model=model, code=code, text=said), address=self.root)


def _version_status(entry: Message) -> VersionStatus:
    state = _STATES.get(entry.state, "UNKNOWN")
    return VersionStatus(entry.version, state, entry.status.error_message)
