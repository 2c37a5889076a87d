"""Put the parts together: configuration, life cycle, REST, HTTP; start and stop them in order."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_server.config_file import checked, read_models
from model_server.engine import Engine, LoadedModel
from model_server.errors import InvalidArgument, Unavailable
from model_server.flag_table import CPUS
from model_server.http_layer import HttpServer, serve
from model_server.lifecycle import Lifecycle, LifecycleOptions
from model_server.registry import Registry
from model_server.rest import Rest, RestOptions
from model_server.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.versions import ModelConfig

logger = logging.getLogger(__name__)

Flags = Mapping[str, Any]


class Server:
    """A model server as the flags describe it."""

    def __init__(self, flags: Flags, engine: Engine | None = None) -> None:
        check(flags)
        self._flags = flags
        self._engine = engine or TensorFlowEngine(_tensorflow_options(flags))
        self._configs = configured_models(flags)
        self._registry = Registry()
        self._lifecycle = Lifecycle(self._registry, self._load, _lifecycle_options(flags))
        self._http: HttpServer | None = None

    def start(self) -> None:
        """Load the models, then open the port; raise a ServingError if either cannot be."""
        if self._configs:
            self._registry.set_labels({c.name: c.labels or {} for c in self._configs})
        self._lifecycle.configure(self._configs)
        self._lifecycle.start()
        self._lifecycle.wait_until_ready()
        self._http = self._listen()
        serve(self._http)
        logger.info("Exporting HTTP/REST API at:localhost:%d ...", self._http.port)

    def stop(self) -> None:
        """Let running requests end, as long as the grace time lasts."""
        self._lifecycle.stop()
        if self._http is not None and not self._http.drain(self._flags["shutdown_grace_seconds"]):
            logger.warning("the grace time is over; requests under way are cut off")

    def _load(self, name: str, path: Path) -> LoadedModel:
        return self._engine.load(path)

    def _listen(self) -> HttpServer:
        host, port = self._flags["rest_api_host"], self._flags["rest_api_port"]
        rest = Rest(self._registry, _rest_options(self._flags))
        try:
            return HttpServer(host, port, rest.answer, threads=self._flags["rest_api_num_threads"])
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
    if not flags["rest_api_port"]:
        raise InvalidArgument("--rest_api_port is 0, and REST is all that this server speaks.")
    if flags["rest_api_port"] == flags["port"]:
        raise InvalidArgument("http_port cannot be same as grpc_port")


def configured_models(flags: Flags) -> list[ModelConfig]:
    """Return the models that the flags or the config file name."""
    if flags["model_config_file"]:
        return read_models(Path(flags["model_config_file"]))
    return checked([ModelConfig(flags["model_name"], Path(flags["model_base_path"]))])


def _rest_options(flags: Flags) -> RestOptions:
    return RestOptions(
        cors=flags["rest_api_enable_cors_support"],
        strict_methods=flags["enable_signature_method_name_check"],
    )


def _lifecycle_options(flags: Flags) -> LifecycleOptions:
    return LifecycleOptions(
        poll_s=flags["file_system_poll_wait_seconds"],
        max_retries=flags["max_num_load_retries"],
        retry_s=flags["load_retry_interval_micros"] / 1e6,
        load_threads=flags["num_load_threads"] or 4 * CPUS,
    )


def _tensorflow_options(flags: Flags) -> TensorFlowOptions:
    both = flags["tensorflow_session_parallelism"]
    return TensorFlowOptions(
        tags=flags["saved_model_tags"].split(","),
        timeout_ms=flags["rest_api_timeout_in_ms"],
        intra_op_threads=flags["tensorflow_intra_op_parallelism"] or both,
        inter_op_threads=flags["tensorflow_inter_op_parallelism"] or both,
    )
