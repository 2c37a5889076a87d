"""The stub Serving with a gRPC port: the same models and answers, over TensorFlow Serving's API."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from serving_api import tensor_reader
from serving_api.dtypes import SHORT_NAMES
from serving_api.messages import message
from serving_api.tensor_map import entry_pieces
from serving_api.tensor_types import dtype_of
from serving_api.tensor_writer import tensor_bytes
from tests.flask_server.stub_serving import Servable, StubServing, tensor

#: The codes of the answers that a test sets as HTTP statuses.
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
STATES = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
#: The inputs of the signatures of our exports, which the REST stub does not declare.
INPUTS = {"pixels": "pixels", "describe": "query"}


class StubGrpcServing(StubServing):
    """Behind a relay, which can break its connections and hold up its answers."""

    def __init__(self) -> None:
        self.relay = _Relay(self)
        super().__init__()

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.relay.port}"

    @contextmanager
    def running(self) -> Iterator[StubGrpcServing]:
        self.server.server_close()  # the REST port
        self._start()
        try:
            yield self
        finally:
            self._ended.set()
            self.relay.close()
            self.grpc_server.stop(0).wait()

    def _start(self) -> None:
        self.grpc_server = grpc.server(ThreadPoolExecutor(32))
        self.grpc_server.add_generic_rpc_handlers(
            (
                _handlers(
                    "tensorflow.serving.PredictionService",
                    Predict=self._predict,
                    GetModelMetadata=self._metadata,
                ),
                _handlers("tensorflow.serving.ModelService", GetModelStatus=self._status),
            )
        )
        self.relay.upstream = self.grpc_server.add_insecure_port("127.0.0.1:0")
        self.grpc_server.start()

    def restart(self) -> None:
        dead = self.grpc_server
        self.relay.cut()
        self._start()
        dead.stop(0)

    def _status(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        self.pause(self.get_delay_s)
        name = message("GetModelStatusRequest").FromString(data).model_spec.name
        if name not in self.models:
            _fail(context, 404, f"Could not find any versions of model {name}")
        if self.status_answer is not None:
            return _said(context, self.status_answer)
        response = message("GetModelStatusResponse")()
        for version, servable in self.models[name].items():
            response.model_version_status.add(version=version, state=STATES[servable.state])
        return bytes(response.SerializeToString())

    def _metadata(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        self.pause(self.get_delay_s)
        spec = message("GetModelMetadataRequest").FromString(data).model_spec
        if spec.HasField("version_label") and self.label_answer is not None:
            return _said(context, self.label_answer)
        version, servable = self._servable(spec, context)
        self.pause(self.metadata_delays_s.get(version, 0.0))
        if self.metadata_answer is not None:
            return _said(context, self.metadata_answer)
        if servable.engine:
            context.set_trailing_metadata((("model-engine", servable.engine),))
        response = message("GetModelMetadataResponse")()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        response.metadata.add(key="signature_def").value.value = signature_def_map(
            servable.signatures()
        )
        return bytes(response.SerializeToString())

    def _servable(self, spec: Any, context: grpc.ServicerContext) -> tuple[int, Servable]:
        if spec.HasField("version_label") and spec.version_label not in self.labels:
            _fail(context, 400, f"Unrecognized servable version label: {spec.version_label}")
        named = self.labels.get(spec.version_label, spec.version.value)
        found = self.models.get(spec.name, {}).get(named)
        if found is None:
            _fail(context, 404, f"Servable not found for request: Specific({spec.name}, {named})")
        assert found is not None
        return named, found

    def _predict(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        request = message("PredictRequest").FromString(data)
        signature = request.model_spec.signature_name
        body = {"instances": _instances(request)} | (
            {"signature_name": signature} if signature else {}
        )
        if signature == "describe":
            if self.describe_answer is not None:
                return _said(context, self.describe_answer)
            return self._scores(request, body, context)
        self.predicts.append(body | {"output_filter": list(request.output_filter)})
        self.before_predict()
        self.pause(self.delay_s)
        if self.breaks > 0 or self.halves > 0:
            self.breaks, self.halves = max(self.breaks - 1, 0), max(self.halves - 1, 0)
            self.relay.cut()
        if self.answer is not None:
            return _said(context, self.answer)
        return self._scores(request, body, context)

    def _scores(self, request: Any, body: dict[str, Any], context: grpc.ServicerContext) -> bytes:
        rows = self._servable(request.model_spec, context)[1].predict(body)
        outputs: dict[str, Any] = {"y": rows}
        if isinstance(rows[0], dict):
            outputs = {name: [row[name] for row in rows] for name in rows[0]}
        wanted = list(request.output_filter) or list(outputs)
        return predict_response({name: array_of(outputs[name]) for name in wanted})


class _Relay:
    """Passes bytes between the gateway and the gRPC server."""

    def __init__(self, stub: StubServing) -> None:
        self.upstream = 0
        self._stub = stub
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                front = self._listener.accept()[0]
                back = socket.create_connection(("127.0.0.1", self.upstream))
                self._sockets += [front, back]
                for source, target in ((front, back), (back, front)):
                    target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(
                        target=self._pass, args=(source, target, target is front), daemon=True
                    ).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65536):
                drip_s = self._stub.drip_s if is_answer else 0
                step = 1 if drip_s else len(data)
                for at in range(0, len(data), step):
                    target.sendall(data[at : at + step])
                    self._stub.pause(drip_s)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)


def _handlers(service: str, **methods: Any) -> Any:
    handlers = {name: grpc.unary_unary_rpc_method_handler(run) for name, run in methods.items()}
    return grpc.method_handlers_generic_handler(service, handlers)


def _fail(context: grpc.ServicerContext, status: int, text: str) -> None:
    context.abort(CODES.get(status, grpc.StatusCode.UNKNOWN), text)


def _said(context: grpc.ServicerContext, answer: tuple[int, Any]) -> bytes:
    """Answer as a test has set it: a status and a JSON document, or bytes as they are."""
    status, document = answer
    if status != 200:
        text = document.get("error", "") if isinstance(document, dict) else ""
        _fail(context, status, text)
    if isinstance(document, bytes):
        return document
    rows = document.get("predictions")
    return predict_response({} if rows is None else {"y": array_of(rows)})


def _instances(request: Any) -> list[Any]:
    """Return the input in REST's row format."""
    (entry,) = request.inputs
    parsed = tensor_reader.parse(memoryview(entry.value.SerializeToString()))
    array = tensor_reader.to_array(parsed)
    if array.dtype == object:
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return list(array.tolist())


def array_of(rows: list[Any]) -> NDArray[Any]:
    """Return rows as an array of doubles, which keep the numbers of a test, or of strings."""
    if np.asarray(rows).dtype.kind not in "US":
        return np.asarray(rows, np.float64)
    array = np.asarray(rows, object)
    array.reshape(-1)[:] = [text.encode() for text in array.reshape(-1)]
    return array


def predict_response(outputs: dict[str, NDArray[Any]]) -> bytes:
    return b"".join(
        part
        for name, array in outputs.items()
        for part in entry_pieces(1, name, [tensor_bytes(array)])
    )


def signature_def_map(signatures: dict[str, Any]) -> bytes:
    """Return signatures in REST's form as a SignatureDefMap."""
    described = message("SignatureDefMap")()
    for key, declared in signatures.items():
        if key in INPUTS:
            declared = {"inputs": {INPUTS[key]: tensor("DT_STRING", (-1,))}} | declared
        definition = described.signature_def.add(key=key).value
        for side in ("inputs", "outputs"):
            for name, info in declared.get(side, {}).items():
                _describe(getattr(definition, side).add(key=name).value, info)
    return bytes(described.SerializeToString())


def _describe(described: Any, info: dict[str, Any]) -> None:
    described.dtype = dtype_of(SHORT_NAMES[info["dtype"]])
    described.tensor_shape.unknown_rank = info["tensor_shape"].get("unknown_rank", False)
    for dim in info["tensor_shape"].get("dim", ()):
        described.tensor_shape.dim.add(size=int(dim["size"]))
