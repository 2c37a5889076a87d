"""Listen for gRPC calls and send the responses of handlers. The only module that imports grpc.

Messages are bytes on both sides. Each method belongs to a pool of threads: model runs, short
answers that never wait for a run, and calls that wait long. In gRPC's Python server, a message that
arrives slowly holds a thread. So there are more threads than runs, and slow messages are
cancelled (``grpc_watchdog``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from model_server.byte_budget import ByteBudget
from model_server.errors import Cancelled, DeadlineExceeded, ModelServerError, Unavailable
from model_server.internal_errors import as_internal_error
from model_server.transport.grpc_calls import Call, Handler, Method, Pool, Stream, Watcher
from model_server.transport.grpc_options import Credentials, GrpcOptions, channel_arguments
from model_server.transport.grpc_status import CODES, cut
from model_server.transport.grpc_watchdog import Watchdog
from model_server.transport.held_bytes import Held

if TYPE_CHECKING:
    import grpc

#: Most calls that are accepted at the same time; more are refused with RESOURCE_EXHAUSTED.
MAX_CALLS: Final = 1024
#: Threads for messages that arrive and for runs.
RUN_THREADS: Final = 128
_SHORT_THREADS: Final = 4
_WAITING_THREADS: Final = 32


class GrpcServer:
    """A gRPC server that calls one handler for each method."""

    def __init__(
        self,
        options: GrpcOptions,
        methods: Mapping[str, Method],
        budget: ByteBudget,
    ) -> None:
        self._options = options
        self._budget = budget
        self._runs = threading.BoundedSemaphore(options.threads)
        self._watchdog = Watchdog(RUN_THREADS, budget)
        self._grpc = import_grpc()
        self._codes = {code.value[0]: code for code in self._grpc.StatusCode}
        self._pools = {
            Pool.RUN: ThreadPoolExecutor(RUN_THREADS, "grpc-run"),
            Pool.SHORT: ThreadPoolExecutor(_SHORT_THREADS, "grpc"),
            Pool.WAITING: ThreadPoolExecutor(_WAITING_THREADS, "grpc-wait"),
        }
        self._server = self._grpc.server(
            self._pools[Pool.RUN],
            handlers=[_Handlers({path: self._rpc(method) for path, method in methods.items()})],
            options=list(channel_arguments(options).items()),
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        self.port = self._listen()

    def start(self) -> None:
        """Accept calls."""
        self._watchdog.start()
        self._server.start()

    def drain(self, grace_s: float) -> bool:
        """Refuse new calls and wait for running ones; False if ``grace_s`` was too short."""
        end = monotonic() + grace_s
        self._server.stop(grace_s).wait(grace_s + 1)
        self._watchdog.stop()
        return monotonic() < end

    def _listen(self) -> int:
        """Listen on the port and the socket; return the port."""
        port, options = 0, self._options
        if options.port is not None:
            port = self._add(f"{_bracketed(options.host)}:{options.port}", "--port")
        if options.socket_path:
            self._add(f"unix:{options.socket_path}", "--grpc_socket_path")
        return port

    def _add(self, address: str, flag: str) -> int:
        credentials = self._options.credentials
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._tls(credentials))
        except RuntimeError as error:
            remedy = f"Choose another {flag} or stop the program that listens there."
            if credentials is not None:
                remedy += " Or correct --ssl_config_file: its PEM texts may be invalid."
            raise Unavailable(
                f"Failed to BuildAndStart gRPC server at {address}. {remedy}"
            ) from error
        return int(port)

    def _tls(self, credentials: Credentials) -> Any:  # noqa: ANN401 - grpc has no types
        return self._grpc.ssl_server_credentials(
            [(credentials.key, credentials.certificate)],
            root_certificates=credentials.client_ca or None,
            require_client_auth=credentials.verifies_client,
        )

    def _rpc(self, method: Method) -> Any:  # noqa: ANN401 - an RpcMethodHandler
        if method.watcher is not None:
            watch = _Behavior(self._watched(method.watcher), self._pools[Pool.SHORT])
            watch.experimental_non_blocking = True
            return self._grpc.unary_stream_rpc_method_handler(watch)
        assert method.handler is not None  # noqa: S101 - a method has one of both
        answer = self._answered(method.handler, limits_runs=method.pool is Pool.RUN)
        behavior = _Behavior(answer, self._pools[method.pool])
        # On the wire there is no difference, but only so the moment of reading is ours.
        return self._grpc.stream_unary_rpc_method_handler(behavior)

    def _answered(
        self, handler: Handler, *, limits_runs: bool
    ) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                return self._answer(messages, context, handler, limits_runs=limits_runs)
            except ModelServerError as error:
                context.abort(self._codes[CODES[error.code]], cut(error.message))
                raise  # abort has raised already

        return answer

    def _answer(
        self,
        messages: Iterator[bytes],
        context: grpc.ServicerContext,
        handler: Handler,
        *,
        limits_runs: bool,
    ) -> bytes:
        with self._watchdog.arriving(context.cancel):
            message = next(messages, None)
        if message is None:
            raise ModelServerError("The call has no message")
        held = Held(self._budget)
        held.add(len(message))
        if not context.add_callback(held.release):
            held.release()
        with self._run_slot(context, limits_runs=limits_runs), as_internal_error("a gRPC call"):
            if not context.is_active():
                raise Cancelled("The client no longer waits.")
            left_s = time_left(context)
            send_trailer, metadata = partial(_send_trailer, context), context.invocation_metadata
            answer = handler(
                Call(message, left_s, context.is_active, held.add, send_trailer, metadata)
            )
        held.replace(len(answer))
        self._watchdog.expect_end(context.cancel, context.add_callback, len(answer))
        return answer

    @contextmanager
    def _run_slot(self, context: grpc.ServicerContext, *, limits_runs: bool) -> Iterator[None]:
        if not limits_runs:
            yield
            return
        if not self._runs.acquire(timeout=min(time_left(context), threading.TIMEOUT_MAX)):
            raise DeadlineExceeded("The deadline passed while the call waited for a thread.")
        try:
            yield
        finally:
            self._runs.release()

    def _watched(
        self, watcher: Watcher
    ) -> Callable[[bytes, grpc.ServicerContext, Callable[[bytes | None], None]], None]:
        def watch(
            message: bytes,
            context: grpc.ServicerContext,
            send: Callable[[bytes | None], None],
        ) -> None:
            watcher(Stream(message, send, lambda: send(None), context.add_callback))

        return watch


def time_left(context: grpc.ServicerContext) -> float:
    """Return the seconds that are left of a call's deadline; infinity without one."""
    left: float | None = context.time_remaining()
    return inf if left is None else left


def _send_trailer(context: grpc.ServicerContext, key: str, value: str) -> None:
    context.set_trailing_metadata(((key, value),))


class _Behavior:
    """A function with the attributes by which gRPC chooses the threads of a method."""

    experimental_non_blocking = False

    def __init__(self, function: Callable[..., Any], pool: ThreadPoolExecutor) -> None:
        self._function = function
        self.experimental_thread_pool = pool

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the function takes
        return self._function(*arguments)


class _Handlers:
    """The methods by their paths, as gRPC asks for them."""

    def __init__(self, methods: Mapping[str, Any]) -> None:
        self._methods = methods

    def service(self, details: Any) -> Any:  # noqa: ANN401 - grpc's types
        """Return the method of a call, or None."""
        return self._methods.get(details.method)


def _bracketed(host: str) -> str:
    return f"[{host.strip('[]')}]" if ":" in host else host


def import_grpc() -> Any:  # noqa: ANN401 - the module
    """Import the package grpcio, which takes a moment."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    import grpc

    return grpc
