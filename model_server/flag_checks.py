"""Check flags that depend on each other, before anything is started. Pure.

The texts with ``server_options`` are those of tensorflow_model_server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model_server.errors import InvalidArgument

Flags = Mapping[str, Any]

#: The longest grace time, 31 years: Python waits 9.2 * 10^9 s at most.
_MAX_GRACE_S: Final = 10**9


def check(flags: Flags) -> None:
    """Raise InvalidArgument if flags contradict each other or miss what the server needs."""
    if not flags["port"] and not flags["grpc_socket_path"]:
        raise InvalidArgument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path"
            " must be set."
        )
    if not flags["model_base_path"] and not flags["model_config_file"]:
        raise InvalidArgument(
            "Both server_options.model_base_path and server_options.model_config_file are empty!"
        )
    if flags["batching_parameters_file"] and not flags["enable_batching"]:
        raise InvalidArgument(
            "server_options.batching_parameters_file is set without setting"
            " server_options.enable_batching to true."
        )
    _check_threads(flags)
    _check_grace(flags)
    _check_bytes(flags)
    _check_request_log(flags)
    _check_ports(flags)
    if flags["ssl_config_file"] and flags["use_alts_credentials"]:
        raise InvalidArgument("--ssl_config_file and --use_alts_credentials exclude each other.")


def _check_threads(flags: Flags) -> None:
    parts = ("session", "intra_op", "inter_op")
    if all(flags[f"tensorflow_{part}_parallelism"] for part in parts):
        raise InvalidArgument(
            "--tensorflow_session_parallelism sets --tensorflow_intra_op_parallelism and"
            " --tensorflow_inter_op_parallelism; they cannot be given together."
        )
    for flag in ("rest_api_num_threads", "grpc_max_threads"):
        if flags[flag] < 1:
            raise InvalidArgument(f"--{flag} is {flags[flag]}; at least 1 is needed.")


def _check_grace(flags: Flags) -> None:
    grace_s = flags["shutdown_grace_seconds"]
    if not 0 <= grace_s <= _MAX_GRACE_S:
        raise InvalidArgument(
            f"--shutdown_grace_seconds is {grace_s:g}; allowed are 0 to {_MAX_GRACE_S}."
        )


def _check_bytes(flags: Flags) -> None:
    body, total = flags["rest_api_max_body_bytes"], flags["rest_api_max_total_bytes"]
    if body < 1:
        raise InvalidArgument(f"--rest_api_max_body_bytes is {body}; at least 1 is needed.")
    if total < body:
        raise InvalidArgument(
            f"--rest_api_max_total_bytes is {total}; at least {body}, the value of"
            " --rest_api_max_body_bytes, is needed."
        )


def _check_request_log(flags: Flags) -> None:
    size, total = flags["request_log_max_file_bytes"], flags["request_log_max_total_bytes"]
    if size < 1:
        raise InvalidArgument(f"--request_log_max_file_bytes is {size}; at least 1 is needed.")
    if total < size:
        raise InvalidArgument(
            f"--request_log_max_total_bytes is {total}; at least {size}, the value of"
            " --request_log_max_file_bytes, is needed."
        )


def _check_ports(flags: Flags) -> None:
    port = flags["rest_api_port"]
    for flag in ("rest_api_port", "port"):
        if not 0 <= flags[flag] < 2**16:
            raise InvalidArgument(f"--{flag} is {flags[flag]}; allowed are ports from 0 to 65535.")
    if port and port == flags["port"]:
        raise InvalidArgument(
            "server_options.http_port cannot be same as grpc_port."
            " Please use a different port for HTTP/REST API."
        )
