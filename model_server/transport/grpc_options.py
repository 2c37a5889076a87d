"""How the gRPC server listens and what it holds at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_server.transport.limits import MAX_BODY_BYTES

#: A client that has been silent for this long is asked whether it is still there.
_KEEPALIVE_MS: Final = 60_000
IDLE_MS: Final = 15 * 60_000
#: gRPC takes no larger integers.
_INT32: Final = range(-(2**31), 2**31)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """The TLS key and certificate of the server, as PEM texts."""

    key: bytes
    certificate: bytes

    client_ca: bytes = b""
    """The certificates that client certificates must be signed by."""

    verifies_client: bool = False
    """Whether clients need a certificate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrpcOptions:
    """How the server listens and what it holds at most."""

    host: str = "127.0.0.1"
    port: int | None = None
    """The port to listen on: None for none, 0 for any that is free."""

    socket_path: str = ""
    """The UNIX socket to listen on, empty for none."""

    threads: int = 8
    """Maximum number of model runs at the same time."""

    max_message_bytes: int = MAX_BODY_BYTES
    arguments: Mapping[str, int | str] | None = None
    """Further channel arguments."""

    credentials: Credentials | None = None


def read_arguments(text: str) -> dict[str, int | str]:
    """Return the channel arguments in ``name=value,name=value``; 32-bit integers become int."""
    arguments: dict[str, int | str] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = pair.partition("=")
        arguments[name] = _value(value)
    return arguments


def _value(text: str) -> int | str:
    try:
        number = int(text)
    except ValueError:
        return text
    return number if number in _INT32 else text


def channel_arguments(options: GrpcOptions) -> dict[str, int | str]:
    """Return the arguments of the server's channels."""
    return {
        "grpc.max_receive_message_length": options.max_message_bytes,
        "grpc.max_send_message_length": -1,
        "grpc.so_reuseport": 0,  # two servers on one port would each get half of the calls
        "grpc.keepalive_time_ms": _KEEPALIVE_MS,
        "grpc.max_connection_idle_ms": IDLE_MS,
        **(options.arguments or {}),
    }
