"""Build the server from its flags (models, lifecycle, REST, gRPC), start it and stop it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model_server.batching import parameters
from model_server.batching.scheduler import BatchScheduler
from model_server.byte_budget import ByteBudget
from model_server.cpus import CPUS
from model_server.engines.choose import choose_engine
from model_server.engines.protocol import Engine
from model_server.errors import Unavailable, Unimplemented
from model_server.flag_checks import check
from model_server.grpc_service import GrpcParts, GrpcService, SendTrailer, wants_grpc
from model_server.grpc_service import Metadata as GrpcMetadata
from model_server.malloc_trim import keep_trimmed
from model_server.metrics import Metrics
from model_server.models.config_file import checked, local_path, read_models
from model_server.models.config_reload import Configuration
from model_server.models.lifecycle import Lifecycle, LifecycleOptions
from model_server.models.model_loader import Batching, ModelLoader
from model_server.models.registry import Registry
from model_server.models.versions import ModelConfig
from model_server.protos import read_message
from model_server.request_log.log_files import LogLimits
from model_server.request_log.request_log import RequestLog, RequestLogOptions
from model_server.rest.api import Rest, RestOptions
from model_server.rest.read_limit import is_costly
from model_server.transport.asgi import AsgiApp
from model_server.transport.http_server import HttpServer, serve
from model_server.transport.limits import Limits

logger = logging.getLogger(__name__)

Flags = Mapping[str, Any]

#: How long the end of the server waits for the request log.
_LOG_GRACE_S = 5.0
_METRICS_PATH = "/monitoring/prometheus/metrics"


class Server:
    """The whole model server, configured by flags."""

    def __init__(self, flags: Flags, engine: Engine | None = None) -> None:
        check(flags)
        self._flags = flags
        self._configs = configured_models(flags)
        self._metrics = Metrics()
        self._registry = Registry()
        self._batching = _batching(flags)
        loader = ModelLoader(
            engine=engine or choose_engine(flags),
            metrics=self._metrics,
            batching=self._batching,
            streams=flags["streams"],
            runs_warmup=flags["enable_model_warmup"],
            warmup_iterations=flags["num_request_iterations_for_warmup"],
        )
        self._budget = ByteBudget(flags["rest_api_max_total_bytes"])
        self._lifecycle = Lifecycle(self._registry, loader.load, _lifecycle_options(flags))
        self._request_log = RequestLog(self._metrics, _request_log_options(flags))
        self._configuration = Configuration(
            self._registry,
            self._lifecycle,
            labels_before_load=flags["allow_version_labels_for_unavailable_models"],
            on_change=self._request_log.configure,
        )
        self._rest = Rest(
            self._registry,
            self._metrics,
            _rest_options(flags),
            self._budget,
            lambda: self._configuration.models,
            self._request_log,
        )
        self._http: HttpServer | None = None
        self._grpc = GrpcService(flags, self._parts()) if wants_grpc(flags) else None

    def _parts(self) -> GrpcParts:
        return GrpcParts(
            self._registry,
            self._metrics,
            self._budget,
            self._configuration.reload,
            self._request_log,
        )

    @property
    def port(self) -> int:
        """The port of the REST API; 0 until it is open."""
        return self._http.port if self._http else 0

    @property
    def grpc_port(self) -> int:
        """The port of the gRPC API; 0 until it is open."""
        return self._grpc.port if self._grpc else 0

    def answer_grpc(
        self, path: str, message: bytes, send_trailer: SendTrailer, metadata: GrpcMetadata = ()
    ) -> bytes:
        """Answer a gRPC call that another server has read, or raise a ModelServerError.

        ``send_trailer`` gets a name and a value of the response's trailing metadata; ``metadata``
        is what the client sent.
        """
        if self._grpc is None:
            raise Unimplemented("There is no gRPC API, only REST: grpcio is not installed.")
        return self._grpc.answer(path, message, send_trailer, metadata)

    def asgi_app(self) -> AsgiApp:
        """Return the REST API as an ASGI application, for a server that was only loaded."""
        return AsgiApp(
            self._rest.respond,
            threads=self._flags["rest_api_num_threads"],
            limits=Limits(max_body_bytes=self._flags["rest_api_max_body_bytes"]),
            budget=self._budget,
            is_costly=is_costly,
        )

    def start(self) -> None:
        """Load the models, then open the ports; raise a ModelServerError if either fails."""
        self._load_models()
        if self._grpc is not None:
            self._grpc.start()
        if self._flags["rest_api_port"]:
            self._http = self._listen()
            serve(self._http)
            logger.info("Exporting HTTP/REST API at:localhost:%d ...", self._http.port)
        self._keep_current()

    def load(self) -> None:
        """Load the models without opening a port; raise a ModelServerError if that fails.

        The APIs are then reached by ``asgi_app`` and ``answer_grpc``.
        """
        self._load_models()
        self._keep_current()

    def _load_models(self) -> None:
        self._configuration.apply(self._configs)
        self._lifecycle.start()
        self._lifecycle.wait_until_ready()

    def _keep_current(self) -> None:
        """Return free memory and read changes of the config file, from now on."""
        keep_trimmed(lambda: self._budget.released)
        path, every_s = (
            self._flags["model_config_file"],
            self._flags["model_config_file_poll_wait_seconds"],
        )
        if path and every_s > 0:
            self._configuration.watch_file(Path(path), every_s)

    def stop(self) -> None:
        """Stop accepting requests and wait for running ones, at most for the grace time."""
        self._configuration.stop()
        self._lifecycle.stop()
        grace_s = self._flags["shutdown_grace_seconds"]
        drains = [server.drain for server in (self._grpc, self._http) if server is not None]
        with ThreadPoolExecutor(max(len(drains), 1)) as threads:
            is_drained = all(list(threads.map(lambda drain: drain(grace_s), drains)))
        if not is_drained:
            logger.warning("The grace time is over; requests in flight are aborted.")
        if self._batching is not None:
            self._batching.scheduler.close()
        self._request_log.stop(_LOG_GRACE_S)

    def _listen(self) -> HttpServer:
        host, port = self._flags["rest_api_host"], self._flags["rest_api_port"]
        threads = self._flags["rest_api_num_threads"]
        try:
            return HttpServer(
                host,
                port,
                self._rest.respond,
                threads=threads,
                limits=Limits(max_body_bytes=self._flags["rest_api_max_body_bytes"]),
                budget=self._budget,
                is_costly=is_costly,
            )
        except OSError as error:
            raise Unavailable(
                f"Failed to start HTTP Server at {host}:{port}: {error.strerror}."
                " Choose another --rest_api_port or stop the program that listens there."
            ) from error


def configured_models(flags: Flags) -> list[ModelConfig]:
    """Return the models in the config file, or else the one that the flags name."""
    if flags["model_config_file"]:
        return read_models(Path(flags["model_config_file"]))
    name = flags["model_name"]
    return checked([ModelConfig(name, local_path(name, flags["model_base_path"]))])


def _batching(flags: Flags) -> Batching | None:
    if not flags["enable_batching"]:
        return None
    file = flags["batching_parameters_file"]
    read = parameters.read_parameters(Path(file) if file else None)
    timeout_ms = flags["rest_api_timeout_in_ms"]
    return Batching(
        scheduler=BatchScheduler(parameters.thread_count(read)),
        options=parameters.options(read, timeout_ms / 1000 if timeout_ms > 0 else None),
        per_model=flags["enable_per_model_batching_parameters"],
    )


def _rest_options(flags: Flags) -> RestOptions:
    return RestOptions(
        cors=flags["rest_api_enable_cors_support"],
        metrics_path=_metrics_path(flags["monitoring_config_file"]),
        strict_methods=flags["enable_signature_method_name_check"],
        max_body_bytes=flags["rest_api_max_body_bytes"],
    )


def _request_log_options(flags: Flags) -> RequestLogOptions:
    return RequestLogOptions(
        limits=LogLimits(
            max_file_bytes=flags["request_log_max_file_bytes"],
            max_total_bytes=flags["request_log_max_total_bytes"],
        ),
        max_queued_bytes=flags["request_log_max_queued_bytes"],
        seed=flags["request_log_seed"],
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
        allow_unavailable=flags["allow_unavailable_models"],
    )
