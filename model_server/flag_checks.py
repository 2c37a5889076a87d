"""Check flags that depend on each other, before anything is started. Pure.

The texts with ``server_options`` are those of tensorflow_model_server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model_server.errors import InvalidArgument

Flags = Mapping[str, Any]

#: The smallest value of these flags.
_LEAST: Final = {
    "rest_api_num_threads": 1,
    "grpc_max_threads": 1,
    "num_load_threads": 0,
    "rest_api_max_body_bytes": 1,
    "request_log_max_file_bytes": 1,
    "request_log_max_queued_bytes": 1,
}
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
    _check_parallelism(flags)
    _check_least(flags)
    _check_grace(flags)
    _check_total(flags, "rest_api_max_total_bytes", "rest_api_max_body_bytes")
    _check_total(flags, "request_log_max_total_bytes", "request_log_max_file_bytes")
    _check_ports(flags)
    if flags["ssl_config_file"] and flags["use_alts_credentials"]:
        raise InvalidArgument("--ssl_config_file and --use_alts_credentials exclude each other.")


def _check_parallelism(flags: Flags) -> None:
    parts = ("session", "intra_op", "inter_op")
    if all(flags[f"tensorflow_{part}_parallelism"] for part in parts):
        raise InvalidArgument(
            "--tensorflow_session_parallelism sets --tensorflow_intra_op_parallelism and"
            " --tensorflow_inter_op_parallelism; they cannot be given together."
        )


def _check_least(flags: Flags) -> None:
    for flag, least in _LEAST.items():
        if flags[flag] < least:
            raise InvalidArgument(f"--{flag} is {flags[flag]}; at least {least} is needed.")


def _check_grace(flags: Flags) -> None:
    grace_s = flags["shutdown_grace_seconds"]
    if not 0 <= grace_s <= _MAX_GRACE_S:
        raise InvalidArgument(
            f"--shutdown_grace_seconds is {grace_s:g}; allowed are 0 to {_MAX_GRACE_S}."
        )


def _check_total(flags: Flags, total: str, part: str) -> None:
    """Raise InvalidArgument if a total is smaller than one of its parts may be."""
    if flags[total] < flags[part]:
        raise InvalidArgument(
            f"--{total} is {flags[total]}; at least {flags[part]}, the value of --{part},"
            " is needed."
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
