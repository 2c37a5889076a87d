"""Declare the command-line options of ``start``, which ``doctor`` takes as well."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.number_arguments import deadline, port, seconds, whole_number
from orchestrator.serving_command import KINDS

LOCAL = "127.0.0.1"
DEADLINE_S = 10
ENGINES = ("auto", "tensorflow", "openvino")
PRECISIONS = ("f32", "bf16", "int8", "auto")


def _root_url(text: str) -> str:
    """Parse the address of a server; paths are appended to it, so it ends without a slash."""
    return text.rstrip("/")


def add_start_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the servers, their addresses and their limits."""
    add = parser.add_argument
    add("--host", default=LOCAL, help="address on which the gateway listens (%(default)s)")
    add("--port", type=port, default=5000, help="port of the gateway (%(default)s)")
    add(
        "--serving",
        choices=["auto", *KINDS],
        default="auto",
        help="TensorFlow Serving to use: native is tensorflow_model_server from PATH, embedded is "
        "this project's model server, docker the official image, none a server that runs already; "
        "auto is native where it is installed, else embedded (%(default)s)",
    )
    add(
        "--serving-url",
        type=_root_url,
        help="root URL of the running Serving, only with --serving none",
    )
    add("--serving-port", type=port, default=9000, help="REST port of Serving (%(default)s)")
    add("--grpc-port", type=port, default=8500, help="gRPC port of Serving (%(default)s)")
    add("--models-file", type=Path, help="models file (models.toml of the project)")
    add("--deadline", type=deadline, help=f"longest time of a request in seconds ({DEADLINE_S})")
    add("--engine", choices=ENGINES, help="inference engine of the embedded Serving (auto)")
    add("--precision", choices=PRECISIONS, help="number format of the embedded Serving (f32)")
    add("--streams", type=whole_number(1), help="parallel runs in the embedded Serving (1)")
    add("--batching", action="store_true", help="let Serving merge requests into batches")
    add("--serving-threads", type=whole_number(1), help="threads of a model run (usable CPUs)")
    add("--gateway-workers", type=whole_number(1), help="gateway processes (half the usable CPUs)")
    add("--grace", type=seconds, default=30, help="seconds between TERM and KILL (%(default)s)")
    add(
        "--start-timeout",
        type=seconds,
        default=300,
        help="seconds until a server must be ready (%(default)s)",
    )
