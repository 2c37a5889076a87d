"""The flags: those of the model server with other ports, and what Ray needs to know. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from model_server.flag_table import FLAGS
from model_server.flags import Flag, UsageError, Value, parse

_REST_PORT: Final = 8501
_PROXY_LOCATIONS: Final = ("EveryNode", "HeadOnly")

RAY_FLAGS: Final = (
    Flag("ray_address", "auto", "Ray cluster to deploy to; local: one that ends with the command."),
    Flag("ray_detach", False, "Ends the command once the models are served; Ray serves on."),
    Flag("ray_min_replicas", 1, "Number of replicas without load."),
    Flag("ray_max_replicas", 4, "Number of replicas under full load."),
    Flag("ray_num_cpus", 1.0, "CPUs of each replica, and threads of its engine."),
    Flag("ray_num_gpus", 0.0, "GPUs of each replica."),
    Flag("ray_target_ongoing_requests", 4.0, "Requests per replica that autoscaling aims at."),
    Flag("ray_max_ongoing_requests", 32, "Requests that a replica gets at the same time."),
    Flag(
        "ray_max_queued_requests", 256, "Requests that wait in a proxy; over it, 503. -1: no limit."
    ),
    Flag("ray_upscale_delay_s", 10.0, "Seconds of load before replicas are added."),
    Flag("ray_downscale_delay_s", 300.0, "Seconds without load before replicas are removed."),
    Flag("ray_look_back_s", 15.0, "Seconds over which the load is averaged."),
    Flag("ray_health_check_s", 5.0, "Seconds between health checks of a replica."),
    Flag("ray_max_surge_percent", 50, "Share of new replicas that start before old ones stop."),
    Flag(
        "ray_proxy_location", "EveryNode", "Nodes with an HTTP and gRPC port: EveryNode, HeadOnly."
    ),
)

#: Flags of the model server's own program and ports, which are not those of Ray.
_NOT_HERE: Final = (
    "version",
    "grpc_socket_path",
    "grpc_channel_arguments",
    "ssl_config_file",
    "enable_grpc_healthcheck_service",
)

ALL_FLAGS: Final = (
    *(replace(f, default=_REST_PORT) if f.name == "rest_api_port" else f for f in FLAGS),
    *RAY_FLAGS,
)


@dataclass(frozen=True, slots=True)
class Options:
    """A parsed command line."""

    server: Mapping[str, Value]
    """The flags of the model server in each replica."""

    ray: Mapping[str, Any]
    """The flags for Ray, by their names without ``ray_``."""

    ignored: Sequence[Flag]
    """The flags that were given but have no effect."""


def read_options(argv: Sequence[str]) -> Options:
    """Return the options of a command line, or raise UsageError."""
    line = parse(argv, ALL_FLAGS)
    ray = {flag.name: line.values[flag.name] for flag in RAY_FLAGS}
    _check(line.values, ray)
    server = {flag.name: line.values[flag.name] for flag in FLAGS}
    named = {name.removeprefix("ray_"): value for name, value in ray.items()}
    return Options(_with_threads(server, float(ray["ray_num_cpus"])), named, line.ignored)


def _with_threads(server: Mapping[str, Value], cpus: float) -> dict[str, Value]:
    """Give the engine as many threads as the replica has CPUs, unless a flag says otherwise."""
    given = [f"tensorflow_{part}_parallelism" for part in ("session", "intra_op", "inter_op")]
    if any(server[name] for name in given):
        return dict(server)
    return {**server, "tensorflow_session_parallelism": max(1, math.ceil(cpus))}


def _check(values: Mapping[str, Value], ray: Mapping[str, Any]) -> None:
    for name in _NOT_HERE:
        if values[name]:
            raise UsageError(f"--{name} has no effect on the proxies of Ray Serve; leave it out.")
    least, most = ray["ray_min_replicas"], ray["ray_max_replicas"]
    if not 0 <= least <= most or most < 1:
        raise UsageError(
            f"--ray_min_replicas is {least} and --ray_max_replicas is {most}; needed are"
            " 0 <= min <= max and a max of at least 1."
        )
    for name in ("ray_target_ongoing_requests", "ray_max_ongoing_requests", "ray_health_check_s"):
        if ray[name] <= 0:
            raise UsageError(f"--{name} is {ray[name]}; more than 0 is needed.")
    if not 0 <= ray["ray_max_surge_percent"] <= 100:
        raise UsageError("--ray_max_surge_percent has to be from 0 to 100.")
    if ray["ray_proxy_location"] not in _PROXY_LOCATIONS:
        raise UsageError(
            f"--ray_proxy_location is {ray['ray_proxy_location']!r}; allowed are"
            f" {', '.join(_PROXY_LOCATIONS)}."
        )
