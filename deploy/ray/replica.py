"""One replica: the models of a model server without ports, asked by Ray's proxies.

Does not import Ray, which finds the methods by their names: ``__serve_build_asgi_app__`` returns
the REST API, and each method of TensorFlow Serving's gRPC services has its own name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol

from model_server.engines.protocol import Engine
from model_server.errors import ModelServerError, Unimplemented
from model_server.grpc_api.api import MODEL_SERVICE, PREDICTION_SERVICE
from model_server.malloc_trim import limit_heaps
from model_server.server import Server
from model_server.transport.asgi import AsgiApp, in_thread
from model_server.transport.grpc_server import import_grpc
from model_server.transport.grpc_status import CODES, cut

#: Threads for calls that run no model.
_SHORT_THREADS: Final = 2
_SHORT_CALLS: Final = frozenset({"GetModelMetadata", "GetModelStatus"})
_RELOAD: Final = "HandleReloadConfigRequest"

METHODS: Final = {
    PREDICTION_SERVICE: ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"),
    MODEL_SERVICE: ("GetModelStatus", _RELOAD),
}


class GrpcContext(Protocol):
    """What Ray knows of a call beside its message."""

    def set_code(self, code: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Set the gRPC status."""

    def set_details(self, details: str) -> None:
        """Set the text of the error."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """Return what the client sent beside the message."""

    def trailing_metadata(self) -> Sequence[tuple[str, str]]:
        """Return what Ray sends after the answer."""

    def set_trailing_metadata(self, trailing_metadata: list[tuple[str, str]]) -> None:
        """Set what is sent after the answer."""


class Answer:
    """The bytes of an answer, in the form in which Ray expects messages."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:
        """Return the bytes, as a message of protobuf does."""
        return self._data


GrpcMethod = Callable[["ModelServerReplica", bytes, GrpcContext], Awaitable[Answer]]


def _method(service: str, name: str) -> GrpcMethod:
    # Ray passes the context to methods with a parameter of this name.
    async def answer(self: ModelServerReplica, message: bytes, grpc_context: GrpcContext) -> Answer:
        return await self.answer_grpc(service, name, message, grpc_context)

    return answer


class ModelServerReplica:
    """The models of one replica, and the methods by which Ray asks for them."""

    Predict = _method(PREDICTION_SERVICE, "Predict")
    Classify = _method(PREDICTION_SERVICE, "Classify")
    Regress = _method(PREDICTION_SERVICE, "Regress")
    MultiInference = _method(PREDICTION_SERVICE, "MultiInference")
    GetModelMetadata = _method(PREDICTION_SERVICE, "GetModelMetadata")
    GetModelStatus = _method(MODEL_SERVICE, "GetModelStatus")
    HandleReloadConfigRequest = _method(MODEL_SERVICE, _RELOAD)

    def __init__(self, flags: Mapping[str, Any], engine: Engine | None = None) -> None:
        limit_heaps()
        self._runs = ThreadPoolExecutor(flags["grpc_max_threads"], "grpc-run")
        self._short = ThreadPoolExecutor(_SHORT_THREADS, "grpc")
        self._server = Server(flags, engine)
        self._server.load()
        self._rest = self._server.asgi_app()

    def __serve_build_asgi_app__(self) -> AsgiApp:
        """Return the REST API."""
        return self._rest

    def close(self) -> None:
        """Refuse further calls, stop polling, and write what the request log still holds.

        A proxy that has not heard of the end yet still sends calls.
        """
        self._rest.close()
        for pool in (self._runs, self._short):
            pool.shutdown(wait=False)
        self._server.stop()

    def __del__(self) -> None:
        """Close; Ray deletes a replica when its last request is answered."""
        if hasattr(self, "_rest"):
            self.close()

    async def answer_grpc(
        self, service: str, name: str, message: bytes, context: GrpcContext
    ) -> Answer:
        """Answer a call in a thread; an error becomes the status of the call."""
        pool = self._short if name in _SHORT_CALLS else self._runs
        trailing: list[tuple[str, str]] = []
        metadata = context.invocation_metadata()
        answer = partial(self._answer, service, name, message, trailing, metadata)
        try:
            data = await in_thread(pool, answer)
            context.set_trailing_metadata([*context.trailing_metadata(), *trailing])
        except ModelServerError as error:
            context.set_code(_status(CODES[error.code]))
            context.set_details(cut(error.message).decode())
            data = b""
        return Answer(data)

    def _answer(
        self,
        service: str,
        name: str,
        message: bytes,
        trailing: list[tuple[str, str]],
        metadata: Sequence[tuple[str, str | bytes]],
    ) -> bytes:
        if name == _RELOAD:
            raise Unimplemented(
                "A call reaches one replica only. Change the file of --model_config_file instead:"
                " with --model_config_file_poll_wait_seconds every replica reads it."
            )
        return self._server.answer_grpc(
            f"/{service}/{name}",
            message,
            lambda key, value: trailing.append((key, value)),
            metadata,
        )


def _status(number: int) -> Any:  # noqa: ANN401 - grpc has no types
    return next(code for code in import_grpc().StatusCode if code.value[0] == number)
