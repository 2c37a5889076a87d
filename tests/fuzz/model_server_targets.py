"""What the embedded model server reads of its callers: HTTP, JSON bodies, gRPC messages."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from math import inf
from unittest import mock

import numpy as np

from model_server.codec import exact_parser, json_reader
from model_server.codec.exact_parser import parse_json
from model_server.codec.image_bodies import FastPathMiss
from model_server.codec.json_reader import Document
from model_server.engines.protocol import Signature, TensorInfo, Tensors
from model_server.errors import Internal, InvalidArgument, ModelServerError
from model_server.grpc_api.api import GrpcApi, GrpcApiOptions
from model_server.metrics import Metrics
from model_server.models.registry import Registry
from model_server.rest.api import Rest, RestOptions
from model_server.transport.grpc_calls import Call, Handler
from model_server.transport.http_messages import Request
from model_server.transport.request_reader import RequestReader
from serving_api.dtypes import short_name
from tests.fuzz import http_readings
from tests.fuzz.target import Target
from tests.model_server.codec.test_json_reader import NEVER, outcome, tensors
from tests.model_server.grpc_api.calls import built, registry_of
from tests.model_server.grpc_api.calls import predict_request as message_of
from tests.model_server.toy import ToyModel

#: Most bytes that tensors of one gRPC message may take beyond it.
TENSOR_BYTES = 1 << 20
_TYPES = ("float", "double", "int32", "uint8", "bool", "string")
_STATUSES = {200, 400, 404, 405, 413, 417, 501}


# --- HTTP -------------------------------------------------------------------------------------


class Refused(Exception):
    """A request was refused, which is all that a stream of bytes can be."""


def read_stream(data: bytes) -> None:
    """Cut a stream into requests; both servers agree, whatever the pieces it comes in."""
    ours, theirs = http_readings.of_model_server(data), http_readings.of_gateway(data)
    assert http_readings.agree(ours, theirs), (ours, theirs)
    for piece in (1, 7):
        assert http_readings.of_model_server(data, piece) == ours
    assert http_readings.of_gateway(data, 7).requests == theirs.requests
    if ours.refused or theirs.refused:
        raise Refused


def answer_stream(data: bytes) -> None:
    """Answer all requests of a stream; no status says that the server has a defect."""
    reader = RequestReader(1 << 16)
    reader.feed(data)
    while (arrival := reader.next()) is not None:
        if not isinstance(arrival.content, Request):
            assert arrival.content.status in _STATUSES, arrival.content
            raise Refused
        response = _rest().respond(arrival.content)
        assert response.status in _STATUSES, response
        assert "\n" not in "".join(map("".join, response.headers))


# --- models that check their inputs as engines do -----------------------------------------------


def _model(inputs: dict[str, str], outputs: dict[str, str], method: str) -> ToyModel:
    signature = Signature(
        {name: TensorInfo(f"{name}:0", kind, None) for name, kind in inputs.items()},
        {name: TensorInfo(f"{name}:0", kind, None) for name, kind in outputs.items()},
        f"tensorflow/serving/{method}",
    )

    def run(given: Tensors) -> Tensors:
        for name, kind in inputs.items():
            if short_name(given[name]) != kind:
                raise InvalidArgument(f"{name} is not of type {kind}")
        if method == "predict":
            return {out: given[name] for out, name in zip(outputs, inputs, strict=True)}
        count = len(given["inputs"]) if given["inputs"].ndim else 1
        classes = np.array([[b"a", b"\xff"]] * count, dtype=object)
        made = {"classes": classes, "scores": np.ones((count, 2), np.float32)}
        return made if method == "classify" else {"outputs": np.ones((count, 1), np.float32)}

    model = ToyModel({"serving_default": signature}, {"serving_default": run})
    model.calls = mock.MagicMock()  # an endless list would look like a leak
    return model


@cache
def _registry() -> Registry:
    models = {(kind, 1): _model({"x": kind}, {"y": kind}, "predict") for kind in _TYPES}
    models["m", 1] = _model({"a": "float", "b": "string"}, {"y": "float", "z": "string"}, "predict")
    given = {"inputs": "string"}
    models["classes", 1] = _model(given, {"classes": "string", "scores": "float"}, "classify")
    models["values", 1] = _model(given, {"outputs": "float"}, "regress")
    return registry_of(models)


@cache
def _rest() -> Rest:
    return Rest(_registry(), Metrics(), RestOptions(max_body_bytes=1 << 16, cors=True))


# --- JSON -------------------------------------------------------------------------------------


def read_predict_body(data: bytes) -> None:
    """Read the body of a prediction; the fast readers find what the exact parser finds.

    The first byte chooses the type of the tensor.
    """
    kind, body = _TYPES[(data[0] if data else 0) % len(_TYPES)], data[1:]
    inputs = {"x": TensorInfo("x:0", kind, None)}

    def read(body: bytes) -> object:
        return tensors(Document(body), inputs)

    assert outcome(read, body) == _exactly(read, body)
    assert outcome(json_reader.read_json, body) == _exactly(parse_json, body)
    read(body)


def _exactly(read: Callable[[bytes], object], data: bytes) -> str:
    with (
        mock.patch.multiple(exact_parser, RUN=NEVER, LIST_RUN=NEVER),
        mock.patch.object(json_reader, "read_images", side_effect=FastPathMiss),
        mock.patch.object(json_reader, "_read_common", side_effect=FastPathMiss),
    ):
        return outcome(read, data)


# --- gRPC -------------------------------------------------------------------------------------


def _reserve(size: int) -> None:
    assert 0 <= size <= TENSOR_BYTES


@cache
def _methods() -> list[Handler]:
    api = GrpcApi(
        _registry(),
        Metrics(),
        GrpcApiOptions(max_tensor_bytes=TENSOR_BYTES),
        lambda *_: None,
    )
    names = ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")
    service = "tensorflow.serving.PredictionService"
    paths = [f"/{service}/{name}" for name in names]
    paths += [
        f"/tensorflow.serving.ModelService/{name}"
        for name in ("GetModelStatus", "HandleReloadConfigRequest")
    ]
    handlers = [api.methods[path].handler for path in paths]
    assert all(handlers)
    return [handler for handler in handlers if handler is not None]


def call(data: bytes) -> None:
    """Answer a gRPC call; the first byte chooses the method, the others are the message."""
    handlers = _methods()
    handler = handlers[(data[0] if data else 0) % len(handlers)]
    request = Call(data[1:], inf, lambda: True, _reserve, lambda *_: None)
    try:
        assert isinstance(handler(request), bytes)
    except Internal as error:
        if error.message:  # only bytes that are no message are answered so, without a text
            raise AssertionError(error.message) from error
        raise


def _messages() -> list[bytes]:
    spec = {"name": "classes"}
    examples = {"example_list": {"examples": ["CgA="]}}
    classify = {"model_spec": spec, "input": examples}
    regress = {"model_spec": {"name": "values"}, "input": examples}
    tasks = [{"model_spec": spec, "method_name": "tensorflow/serving/classify"}]
    metadata = {"model_spec": spec, "metadata_field": ["signature_def"]}
    named = {"signature_name": "serving_default"}
    x = np.array([[1, 2, 3]])
    text = np.array([b"a", b"bc"], dtype=object)
    return [
        b"\0" + message_of("float", x=x.astype(np.float32)),
        b"\0" + message_of("uint8", named, ("y",), x=x.astype(np.uint8)),
        b"\0" + message_of("string", x=text),
        b"\0" + message_of("bool", {"version": {"value": 1}}, x=x > 1),
        b"\0" + message_of("m", a=x.astype(np.float32), b=text),
        b"\1" + built("ExamplesRequest", classify),
        b"\2" + built("ExamplesRequest", regress),
        b"\3" + built("MultiInferenceRequest", {"tasks": tasks, "input": examples}),
        b"\4" + built("GetModelMetadataRequest", metadata),
        b"\5" + built("GetModelStatusRequest", {"model_spec": spec}),
        b"\6" + built("ReloadConfigRequest", {"config": {"model_config_list": {}}}),
    ]


_POST = b"POST /v1/models/float:predict HTTP/1.1\r\nHost: x\r\n"
_BODY = b'{"instances": [1.0, 2.5]}'
_ZIPPED = gzip.compress(_BODY, mtime=0)
_LENGTH = b"Content-Length: %d\r\n\r\n"
_STREAMS = (
    b"GET /v1/models/float HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/models/m/versions/1/metadata HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\nOPTIONS /v1/x HTTP/1.1\r\nOrigin: http://a\r\n\r\n",
    _POST + _LENGTH % len(_BODY) + _BODY + b"GET / HTTP/1.1\r\n\r\n",
    _POST + b'Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n{"ins\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n',
    _POST + b"Content-Encoding: gzip\r\n" + _LENGTH % len(_ZIPPED) + _ZIPPED,
    _POST + b"Expect: 100-continue\r\n" + _LENGTH % 2 + b"{}",
    b"POST /v1/models/classes:classify HTTP/1.1\r\n" + _LENGTH % 25 + b'{"examples": [{"a": "b"}]}',
)
_HTTP_WORDS = (
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\r\n\r\n"),
    *(b"Transfer-Encoding:\r\n chunked\r\n", b"0x5", b"+5", b"5_0", b"GET http://a/ HTTP/1.1\r\n"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"chunked", b"identity", b"gzip, chunked", b"; a=b"),
    *(b"Connection: close\r\n", b"POST ", b":predict", b"/v1/models/", b"\x85", b"\xa0", b"\x0b"),
)
_JSON = (
    b'{"instances": [[1, 2.5, -3e2], [4, 5, 6]]}',
    b'{"signature_name": "serving_default", "instances": [{"b64": "YWJj"}, {"b64": "AA=="}]}',
    b'{"inputs": {"x": [[0.5, 1], [2, 3]]}}',
    b'{"instances": [{"x": "a"}, {"x": {"b64": "YQ=="}}], "a": null}',
    b'\xef\xbb\xbf{"instances": ["\\ud83d\\ude00", "\xff"]} x',
)
_JSON_WORDS = (
    *(b'"instances"', b'"inputs"', b'"b64"', b'"x"', b"[", b"]", b"{", b"}", b",", b":", b"NaN"),
    *(b"-Infinity", b"0e5", b"1.", b"01", b'"\\ud800"', b"true", b"null", b"[[1],[2,3]],", b"255"),
    *(b"1,2,3,4,5,6,7,8,9,", b"18446744073709551616", b"2147483648", b"1e-400", b'"a",'),
)

TARGETS = (
    Target(
        name="http-stream",
        read=read_stream,
        refusals=(Refused,),
        seeds=lambda: _STREAMS,
        words=_HTTP_WORDS,
        examples=200,
        longest=2048,
    ),
    Target(
        name="rest",
        read=answer_stream,
        refusals=(Refused,),
        seeds=lambda: _STREAMS,
        words=(*_HTTP_WORDS, *_JSON_WORDS),
    ),
    Target(
        name="predict-body",
        read=read_predict_body,
        refusals=(ModelServerError,),
        seeds=lambda: [bytes((kind,)) + body for body in _JSON for kind in range(len(_TYPES))],
        words=_JSON_WORDS,
        longest=2048,
    ),
    Target(
        name="grpc",
        read=call,
        refusals=(ModelServerError,),
        seeds=_messages,
        words=(b"\x0a", b"\x12\x00", b"\x38\x01", b"\x80\x80\x80\x80\x04", b"\x08\x07", b"\x0b"),
        examples=200,
    ),
)
