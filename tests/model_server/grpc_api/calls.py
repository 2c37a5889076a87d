"""A gRPC server in this process, and a client that sends bytes as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from model_server.byte_budget import ByteBudget
from model_server.grpc_api.api import GrpcApi, GrpcApiOptions
from model_server.grpc_api.health import Health
from model_server.metrics import Metrics
from model_server.models.registry import Registry, Servable, State
from model_server.request_log.request_log import RequestLog
from model_server.transport.grpc_options import GrpcOptions
from model_server.transport.grpc_server import GrpcServer
from serving_api import tensor_reader
from serving_api.messages import message
from serving_api.tensor_writer import tensor_bytes
from tests.model_server.toy import ToyModel
from tests.waiting import PATIENCE_S

PREDICT = "/tensorflow.serving.PredictionService/Predict"
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
REGRESS = "/tensorflow.serving.PredictionService/Regress"
MULTI = "/tensorflow.serving.PredictionService/MultiInference"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True)
class Answer:
    """Code, text and message with which a call ended."""

    code: str
    text: str = ""
    data: bytes = b""

    def read(self, name: str) -> dict[str, Any]:
        """Return the message as a dictionary."""
        assert self.code == "OK", self
        parsed = message(name).FromString(self.data)
        found: dict[str, Any] = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
        return found

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        assert self.code == "OK", self
        response = message("PredictResponse").FromString(self.data)
        return {
            entry.key: tensor_reader.to_array(
                tensor_reader.parse(memoryview(entry.value.SerializeToString()))
            )
            for entry in response.outputs
        }


@dataclass
class RawClient:
    """Sends bytes over one channel."""

    target: str
    credentials: grpc.ChannelCredentials | None = None
    options: list[tuple[str, Any]] = field(default_factory=list)
    drain: Callable[[], bool] = bool
    watchers: Callable[[], int] = int

    def __post_init__(self) -> None:
        options = [*_UNLIMITED, *self.options]
        self.channel = (
            grpc.insecure_channel(self.target, options)
            if self.credentials is None
            else grpc.secure_channel(self.target, self.credentials, options)
        )

    def call(self, method: str, request: bytes, timeout: float = PATIENCE_S) -> Answer:
        try:
            return Answer("OK", "", self.channel.unary_unary(method)(request, timeout=timeout))
        except grpc.RpcError as error:
            return Answer(error.code().name, error.details() or "")

    def predict(self, model: str, timeout: float = PATIENCE_S, **inputs: Any) -> Answer:
        return self.call(PREDICT, predict_request(model, **inputs), timeout)

    def close(self) -> None:
        self.channel.close()


def predict_request(
    model: str = "",
    /,
    spec: Mapping[str, Any] | None = None,
    only: tuple[str, ...] = (),
    **inputs: Any,
) -> bytes:
    """Return a PredictRequest; an input is an array, or the bytes of a TensorProto."""
    request = message("PredictRequest")(output_filter=only)
    json_format.ParseDict({"name": model, **(spec or {})}, request.model_spec)
    for name, value in inputs.items():
        data = value if isinstance(value, bytes) else tensor_bytes(np.asarray(value))
        request.inputs.add(key=name).value.MergeFromString(data)
    return bytes(request.SerializeToString())


def built(name: str, content: Mapping[str, Any]) -> bytes:
    """Return a message from its JSON form."""
    return bytes(json_format.ParseDict(content, message(name)()).SerializeToString())


def registry_of(models: Mapping[tuple[str, int], ToyModel]) -> Registry:
    registry = Registry()
    for (name, version), model in models.items():
        servable = Servable(name, version)
        registry.add(servable)
        registry.set_state(servable, State.AVAILABLE, model=model)
    registry.set_labels({"m": {"stable": 1, "gone": 9}})
    return registry


def no_reload(*_: object) -> None:
    raise AssertionError


@contextmanager
def grpc_server(
    registry: Registry,
    *,
    api: GrpcApiOptions | None = None,
    metrics: Metrics | None = None,
    budget: ByteBudget | None = None,
    reload: Callable[..., None] = no_reload,
    request_log: RequestLog | None = None,
    **options: Any,
) -> Iterator[RawClient]:
    """Serve a registry in this process; yield a client."""
    health = Health(("", "ModelService"))
    api = api or GrpcApiOptions()
    methods = GrpcApi(registry, metrics or Metrics(), api, reload, request_log).methods
    server = GrpcServer(
        GrpcOptions(**({"port": 0} | options)),
        methods | health.methods,
        budget or ByteBudget(512 << 20),
    )
    server.start()

    def drain(grace_s: float = PATIENCE_S) -> bool:
        health.drain()
        return server.drain(grace_s)

    client = RawClient(
        f"127.0.0.1:{server.port}", drain=drain, watchers=lambda: len(health._watchers)
    )
    try:
        yield client
    finally:
        client.close()
        drain(5)
