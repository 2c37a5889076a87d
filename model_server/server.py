"""Put the parts together: configuration, life cycle, REST, HTTP; start and stop them in order."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_server.batching import parameters
from model_server.batching.scheduler import BatchScheduler
from model_server.engines.choose import choose_engine
from model_server.engines.protocol import Engine
from model_server.errors import InvalidArgument, Unavailable
from model_server.flag_table import CPUS
from model_server.metrics import Metrics
from model_server.models.config_file import checked, local_path, read_models
from model_server.models.config_reload import Configuration
from model_server.models.lifecycle import Lifecycle, LifecycleOptions
from model_server.models.model_loader import Batching, ModelLoader
from model_server.models.registry import Registry
from model_server.models.versions import ModelConfig
from model_server.protos import read_message
from model_server.rest.api import Rest, RestOptions
from model_server.transport.http_server import HttpServer, serve

logger = logging.getLogger(__name__)

Flags = Mapping[str, Any]

_METRICS_PATH = "/monitoring/prometheus/metrics"


class Server:
    """A model server as the flags describe it."""

    def __init__(self, flags: Flags, engine: Engine | None = None) -> None:
        check(flags)
        self._flags = flags
        self._configs = configured_models(flags)
        self._metrics = Metrics()
        self._registry = Registry()
        loader = ModelLoader(
            engine=engine or choose_engine(flags),
            metrics=self._metrics,
            batching=_batching(flags),
            streams=flags["streams"],
            runs_warmup=flags["enable_model_warmup"],
            warmup_iterations=flags["num_request_iterations_for_warmup"],
        )
        self._rest = Rest(self._registry, self._metrics, _rest_options(flags))
        self._lifecycle = Lifecycle(self._registry, loader.load, _lifecycle_options(flags))
        self._configuration = Configuration(
            self._registry,
            self._lifecycle,
            labels_before_load=flags["allow_version_labels_for_unavailable_models"],
        )
        self._http: HttpServer | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, 0 before."""
        return self._http.port if self._http else 0

    def start(self) -> None:
        """Load the models, then open the port; raise a ModelServerError if either cannot be."""
        self._configuration.apply(self._configs)
        self._lifecycle.start()
        self._lifecycle.wait_until_ready()
        self._http = self._listen()
        serve(self._http)
        logger.info("Exporting HTTP/REST API at:localhost:%d ...", self._http.port)
        path, every_s = (
            self._flags["model_config_file"],
            self._flags["model_config_file_poll_wait_seconds"],
        )
        if path and every_s > 0:
            self._configuration.watch_file(Path(path), every_s)

    def stop(self) -> None:
        """Let running requests end, as long as the grace time lasts."""
        self._configuration.stop()
        self._lifecycle.stop()
        if self._http is not None and not self._http.drain(self._flags["shutdown_grace_seconds"]):
            logger.warning("The grace time is over; requests under way are cut off.")

    def _listen(self) -> HttpServer:
        host, port = self._flags["rest_api_host"], self._flags["rest_api_port"]
        threads = self._flags["rest_api_num_threads"]
        try:
            return HttpServer(host, port, self._rest.answer, threads=threads)
        except OSError as error:
            raise Unavailable(
                f"Failed to start HTTP Server at {host}:{port}: {error.strerror}."
                " Choose another --rest_api_port or stop the program that listens there."
            ) from error


def check(flags: Flags) -> None:
    """Refuse flags that contradict each other."""
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
    _check_port(flags)


def _check_threads(flags: Flags) -> None:
    parts = ("session", "intra_op", "inter_op")
    if all(flags[f"tensorflow_{part}_parallelism"] for part in parts):
        raise InvalidArgument(
            "--tensorflow_session_parallelism excludes --tensorflow_intra_op_parallelism and"
            " --tensorflow_inter_op_parallelism: it sets both."
        )
    if flags["rest_api_num_threads"] < 1:
        raise InvalidArgument(
            f"--rest_api_num_threads is {flags['rest_api_num_threads']}; at least 1 is needed."
        )


def _check_port(flags: Flags) -> None:
    port = flags["rest_api_port"]
    if not 0 < port < 2**16:
        raise InvalidArgument(
            f"--rest_api_port is {port}; REST is all that this server speaks, so it needs a port"
            " from 1 to 65535."
        )
    if port == flags["port"]:
        raise InvalidArgument(
            "server_options.http_port cannot be same as grpc_port."
            " Please use a different port for HTTP/REST API."
        )


def configured_models(flags: Flags) -> list[ModelConfig]:
    """Return the models that the flags or the config file name."""
    if flags["model_config_file"]:
        return read_models(Path(flags["model_config_file"]))
    name = flags["model_name"]
    return checked([ModelConfig(name, local_path(name, flags["model_base_path"]))])


def _batching(flags: Flags) -> Batching | None:
    if not flags["enable_batching"]:
        return None
    file = flags["batching_parameters_file"]
    read = parameters.read_parameters(Path(file) if file else None)
    timeout_s = max(flags["rest_api_timeout_in_ms"], 0) / 1000
    return Batching(
        scheduler=BatchScheduler(parameters.thread_count(read)),
        options=parameters.options(read, timeout_s),
        per_model=flags["enable_per_model_batching_parameters"],
    )


def _rest_options(flags: Flags) -> RestOptions:
    return RestOptions(
        cors=flags["rest_api_enable_cors_support"],
        metrics_path=_metrics_path(flags["monitoring_config_file"]),
        strict_methods=flags["enable_signature_method_name_check"],
    )


def _metrics_path(file: str) -> str | None:
    if not file:
        return None
    config = read_message(Path(file), "MonitoringConfig").prometheus_config
    return (config.path or _METRICS_PATH) if config.enable else None


def _lifecycle_options(flags: Flags) -> LifecycleOptions:
    return LifecycleOptions(
        poll_s=flags["file_system_poll_wait_seconds"],
        max_retries=flags["max_num_load_retries"],
        retry_s=flags["load_retry_interval_micros"] / 1e6,
        load_threads=flags["num_load_threads"] or 4 * CPUS,
    )
