"""Build the gRPC server from the flags, start it and stop it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any, Final

from model_catalog.installation import install_command
from model_server.byte_budget import ByteBudget
from model_server.errors import FailedPrecondition, InvalidArgument, Unimplemented
from model_server.grpc_api.api import (
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    GrpcApi,
    GrpcApiOptions,
    Reload,
)
from model_server.grpc_api.health import Health
from model_server.internal_errors import as_internal_error
from model_server.metrics import Metrics
from model_server.models.registry import Registry
from model_server.protos import read_message
from model_server.request_log.request_log import RequestLog
from model_server.transport.grpc_calls import Call
from model_server.transport.grpc_options import Credentials, GrpcOptions, read_arguments
from model_server.transport.grpc_server import GrpcServer, import_grpc
from model_server.transport.held_bytes import Held

logger = logging.getLogger(__name__)

Flags = Mapping[str, Any]
SendTrailer = Callable[[str, str], None]
Metadata = Sequence[tuple[str, str | bytes]]

#: The services whose health can be asked for; TensorFlow Serving knows the short names only.
_HEALTH_NAMES: Final = ("", "ModelService", "PredictionService", MODEL_SERVICE, PREDICTION_SERVICE)


@dataclass(frozen=True, slots=True)
class GrpcParts:
    """What gRPC shares with REST."""

    registry: Registry
    metrics: Metrics
    budget: ByteBudget
    reload: Reload
    request_log: RequestLog


def wants_grpc(flags: Flags) -> bool:
    """Tell whether gRPC is asked for and installed.

    Raises FailedPrecondition if it is not installed and there would be no REST either.
    """
    if not flags["port"] and not flags["grpc_socket_path"]:
        return False
    if find_spec("grpc") is not None:
        return True
    missing = f"grpcio is not installed here; run {install_command('openvino')}"
    if not flags["rest_api_port"]:
        raise FailedPrecondition(missing)
    logger.warning("There is no gRPC API, only REST: %s", missing)
    return False


class GrpcService:
    """The gRPC API of a server."""

    def __init__(self, flags: Flags, parts: GrpcParts) -> None:
        self._flags = flags
        self._budget = parts.budget
        self._options = _server_options(flags)
        options = GrpcApiOptions(
            strict_methods=flags["enable_signature_method_name_check"],
            as_content=flags["enable_serialization_as_tensor_content"],
            max_tensor_bytes=flags["rest_api_max_body_bytes"],
        )
        api = GrpcApi(parts.registry, parts.metrics, options, parts.reload, parts.request_log)
        self._methods = api.methods
        self._health = Health(_HEALTH_NAMES)
        self._server: GrpcServer | None = None
        # While the models load, so that the ports open no later.
        threading.Thread(target=import_grpc, name="import grpc", daemon=True).start()

    @property
    def port(self) -> int:
        """The port; 0 until it is open."""
        return self._server.port if self._server else 0

    def answer(
        self, path: str, message: bytes, send_trailer: SendTrailer, metadata: Metadata
    ) -> bytes:
        """Answer a call that another gRPC server has read, or raise a ModelServerError.

        That server does not tell the deadline of the call, so the limit of REST holds.
        """
        method = self._methods.get(path)
        if method is None or method.handler is None:
            raise Unimplemented(f"There is no method {path}.")
        held = Held(self._budget)
        try:
            held.add(len(message))
            with as_internal_error("a gRPC call"):
                return method.handler(
                    Call(
                        message,
                        _limit_s(self._flags["rest_api_timeout_in_ms"]),
                        lambda: True,
                        held.add,
                        send_trailer,
                        lambda: metadata,
                    )
                )
        finally:
            held.release()

    def start(self) -> None:
        """Listen and accept calls, or raise Unavailable."""
        methods = dict(self._methods)
        if self._flags["enable_grpc_healthcheck_service"]:
            methods |= self._health.methods
        self._server = GrpcServer(self._options, methods, self._budget)
        self._server.start()
        if self._options.port:
            host, port = self._options.host, self._server.port
            logger.info("Running gRPC ModelServer at %s:%d ...", host, port)
        if self._options.socket_path:
            path = self._options.socket_path
            logger.info("Running gRPC ModelServer at UNIX socket %s ...", path)

    def drain(self, grace_s: float) -> bool:
        """Refuse new calls and wait for running ones; False if ``grace_s`` was too short."""
        self._health.drain()
        return self._server is None or self._server.drain(grace_s)


def _limit_s(timeout_ms: int) -> float:
    return timeout_ms / 1000 if timeout_ms > 0 else inf


def _server_options(flags: Flags) -> GrpcOptions:
    return GrpcOptions(
        host=flags["grpc_host"],
        port=flags["port"] or None,
        socket_path=flags["grpc_socket_path"],
        threads=flags["grpc_max_threads"],
        max_message_bytes=min(flags["rest_api_max_body_bytes"], 2**31 - 1),
        arguments=read_arguments(flags["grpc_channel_arguments"]),
        credentials=_credentials(flags["ssl_config_file"]),
    )


def _credentials(file: str) -> Credentials | None:
    if not file:
        return None
    config = read_message(Path(file), "SSLConfig", is_secret=True)
    if config.client_verify and not config.custom_ca:
        raise InvalidArgument(
            f"{file} has client_verify without custom_ca, the certificates that verify those of"
            " clients."
        )
    return Credentials(
        key=config.server_key.encode(),
        certificate=config.server_cert.encode(),
        client_ca=config.custom_ca.encode(),
        verifies_client=config.client_verify,
    )
