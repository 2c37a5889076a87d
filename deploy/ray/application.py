"""The application for Ray Serve: an autoscaled deployment of model server replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, HTTPOptions, gRPCOptions
from ray.serve.schema import LoggingConfig

from deploy.ray.flags import Options, read_options
from deploy.ray.replica import ModelServerReplica

NAME: Final = "model_server"
_SERVICERS: Final = "deploy.ray.servicers:add_services"


def build(args: Mapping[str, object]) -> Application:
    """Return the application for flags by their names, as in ``args`` of a Serve config file."""
    return application(read_options([f"--{name}={_text(value)}" for name, value in args.items()]))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def application(options: Options) -> Application:
    """Return the application for the options of a command line."""
    ray = options.ray
    deployment = serve.deployment(
        serve.ingress()(ModelServerReplica),
        name=NAME,
        ray_actor_options={"num_cpus": ray["num_cpus"], "num_gpus": ray["num_gpus"]},
        max_ongoing_requests=ray["max_ongoing_requests"],
        max_queued_requests=ray["max_queued_requests"],
        autoscaling_config=_autoscaling(ray),
        max_surge_percent=ray["max_surge_percent"],
        graceful_shutdown_timeout_s=float(options.server["shutdown_grace_seconds"]),
        health_check_period_s=ray["health_check_s"],
        health_check_timeout_s=ray["health_check_s"] * 2,
        logging_config=LoggingConfig(enable_access_log=False),
    )
    return deployment.bind(dict(options.server))


def _autoscaling(ray: Mapping[str, Any]) -> AutoscalingConfig:
    return AutoscalingConfig(
        min_replicas=ray["min_replicas"],
        max_replicas=ray["max_replicas"],
        target_ongoing_requests=ray["target_ongoing_requests"],
        upscale_delay_s=ray["upscale_delay_s"],
        downscale_delay_s=ray["downscale_delay_s"],
        look_back_period_s=ray["look_back_s"],
    )


def start_proxies(options: Options) -> None:
    """Open the HTTP port, and the gRPC port, on the nodes that the options name."""
    server = options.server
    serve.start(
        proxy_location=options.ray["proxy_location"],
        http_options=HTTPOptions(
            host=str(server["rest_api_host"]), port=int(server["rest_api_port"])
        ),
        grpc_options=gRPCOptions(port=int(server["port"]), grpc_servicer_functions=[_SERVICERS]),
    )
