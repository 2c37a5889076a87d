"""The trace of a request through the gateway and the embedded model server."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from opentelemetry.trace import SpanKind, StatusCode

from flask_server.deadline import Deadline
from flask_server.serving.client import RestServing
from flask_server.serving.connect import connect
from flask_server.telemetry import logs
from model_server.errors import Internal
from model_server.transport.http_messages import Request, Response
from serving_tracing import spans
from serving_tracing.log_format import TraceIdFormatter
from tests.flask_server.conftest import MakeApp, draw
from tests.flask_server.stub_serving import StubServing
from tests.model_server.harness import http_server
from tests.running import gateway
from tests.serving_tracing.conftest import DIGIT, ModelServer, Recorder, version_folder
from tests.waiting import eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SPAN = int(PARENT[3:35], 16), int(PARENT[36:52], 16)
SERVER = "POST /models/<name>/predict"
REST = "POST /v1/models/{model}/versions/{version}:predict"
GRPC = "tensorflow.serving.PredictionService/Predict"


@contextmanager
def digits(address: str, folder: Path) -> Iterator[FlaskClient]:
    with gateway(address, {"digits": version_folder().parent}, folder) as client:
        yield ready(client)


def ready(client: FlaskClient) -> FlaskClient:
    """Wait until the gateway knows a version: a request before then would read it itself."""
    assert eventually(lambda: client.get("/readyz").status_code == 200)
    return client


def ask(client: FlaskClient) -> int:
    """Return the status of a request that is a part of a trace."""
    headers = {"traceparent": PARENT}
    url, picture = "/models/digits/predict", DIGIT.read_bytes()
    return client.post(url, data=picture, headers=headers).status_code


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_trace_goes_from_the_caller_to_the_engine(
    model_server: ModelServer, recorder: Recorder, tmp_path: Path, protocol: str
) -> None:
    call = REST if protocol == "rest" else GRPC
    recorder.trace = TRACE  # the gateway reads the version in others
    with digits(getattr(model_server, protocol), tmp_path) as client:
        assert ask(client) == 200

    assert recorder.tree == {
        (None, SERVER),
        (SERVER, "decode"),
        (SERVER, "preprocess"),
        (SERVER, "serving"),
        ("serving", "batch wait"),
        ("serving", call),
        (call, call),  # of the gateway, and below it that of the model server
        (call, "parse"),
        (call, "queue"),
        (call, "inference"),
        (SERVER, "postprocess"),
    }
    server = recorder.one(SERVER)
    assert server.kind is SpanKind.SERVER
    assert server.parent
    assert server.parent.span_id == SPAN
    assert {span.kind for span in recorder.named(call)} == {SpanKind.CLIENT, SpanKind.SERVER}
    assert all(span.status.status_code is StatusCode.UNSET for span in recorder.all)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_spans_say_what_was_asked_and_answered(
    model_server: ModelServer, recorder: Recorder, tmp_path: Path, protocol: str
) -> None:
    recorder.trace = TRACE
    with digits(getattr(model_server, protocol), tmp_path) as client:
        ask(client)

    attributes = dict(recorder.one(SERVER).attributes or {})
    assert attributes.pop("gateway.request_id")
    assert attributes.pop("user_agent.original")
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/models/<name>/predict",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/models/digits/predict",
        "server.address": "localhost",
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "serving.model.name": "digits",
        "serving.model.version": 1,
        "gateway.images": 1,
    }
    calls = recorder.named(REST if protocol == "rest" else GRPC)
    answered, asked = (dict(span.attributes or {}) for span in calls)
    port = int(getattr(model_server, protocol).rpartition(":")[2])
    served = {"serving.model.name": "digits", "serving.model.version": 1}
    if protocol == "grpc":
        common = {
            "rpc.system.name": "grpc",
            "rpc.method": GRPC,
            "rpc.response.status_code": "OK",
        }
        where = {"server.address": "127.0.0.1", "server.port": port, "serving.batch.requests": 1}
        assert (asked, answered) == (common | where, common | served)
        return
    path = "/v1/models/digits/versions/1:predict"
    route = "/v1/models/{model}/versions/{version}:predict"
    common_http = {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert asked == common_http | {
        "url.full": f"{model_server.rest}{path}",
        "url.template": route,
        "serving.batch.requests": 1,
    }
    assert answered == common_http | served | {
        "url.scheme": "http",
        "url.path": path,
        "http.route": route,
    }


def test_a_request_without_a_parent_begins_a_trace(
    make_app: MakeApp, recorder: Recorder, serving: StubServing
) -> None:
    client = ready(make_app().test_client())
    for _ in range(2):
        client.post("/models/toy/predict", data=draw(), headers={"traceparent": "nonsense"})

    first, second = recorder.named(SERVER)
    assert first.parent is None
    assert first.context
    assert second.context
    assert first.context.trace_id != second.context.trace_id


def test_health_checks_and_scrapes_have_no_spans(make_app: MakeApp, recorder: Recorder) -> None:
    client = ready(make_app().test_client())

    assert [client.get(path).status_code for path in ("/healthz", "/metrics")] == [200, 200]
    assert recorder.all == []


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_polls_of_the_model_server_have_spans_only_within_a_trace(
    model_server: ModelServer, recorder: Recorder, protocol: str
) -> None:
    serving = connect(getattr(model_server, protocol), 1)
    tracing = spans.active()
    assert tracing
    serving.status("digits", Deadline(60))
    assert recorder.all == []

    server = tracing.server_span("x", {}, {})
    assert server
    with server.current():
        serving.status("digits", Deadline(60))
    serving.close()

    assert len(recorder.all) == 2


def test_each_image_of_a_request_has_its_stages(make_app: MakeApp, recorder: Recorder) -> None:
    files = [(io.BytesIO(draw(seed=seed)), f"{seed}.png") for seed in range(4)]

    ready(make_app().test_client()).post("/models/toy/predict", data={"image": files})

    server = recorder.one(SERVER)
    assert server.context
    parents = {span.parent.span_id for span in recorder.named("decode") if span.parent}
    assert parents == {server.context.span_id}
    assert len(recorder.named("decode")) == len(recorder.named("preprocess")) == 4
    assert (server.attributes or {})["gateway.images"] == 4


def test_an_error_of_the_client_is_no_error_of_the_server(
    make_app: MakeApp, recorder: Recorder
) -> None:
    response = ready(make_app().test_client()).post("/models/toy/predict", data=b"no image")

    assert response.status_code == 415
    server, decode = recorder.one(SERVER), recorder.one("decode")
    assert server.status.status_code is StatusCode.UNSET
    assert (server.attributes or {})["gateway.error_code"] == "unsupported_image"
    assert decode.status.status_code is StatusCode.ERROR
    assert (decode.attributes or {})["error.type"] == "unsupported_image"
    assert decode.events == ()


def test_a_failed_call_marks_its_span_and_that_of_the_request(
    make_app: MakeApp, recorder: Recorder, serving: StubServing
) -> None:
    client = ready(make_app().test_client())
    serving.answer = (500, {"error": "a secret"})

    assert client.post("/models/toy/predict", data=draw()).status_code == 502

    call, server = recorder.one(REST), recorder.one(SERVER)
    assert (call.attributes or {})["error.type"] == "500"
    assert (server.attributes or {})["error.type"] == "serving_error"
    assert {call.status.status_code, server.status.status_code} == {StatusCode.ERROR}
    assert "a secret" not in "".join(span.to_json() for span in recorder.all)


def test_a_connection_that_breaks_gives_one_span_for_each_call(
    make_app: MakeApp, recorder: Recorder, serving: StubServing
) -> None:
    client = ready(make_app().test_client())
    serving.breaks = 1

    assert client.post("/models/toy/predict", data=draw()).status_code == 200

    broken, repeated = recorder.named(REST)
    assert (broken.attributes or {})["error.type"] == "serving_unavailable"
    assert (repeated.attributes or {})["http.response.status_code"] == 200


def test_an_error_of_the_model_server_is_in_its_span(
    model_server: ModelServer, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with digits(model_server.grpc, tmp_path) as client:

        def fail(*_: object) -> None:
            raise Internal("a secret")

        monkeypatch.setattr("model_server.grpc_api.predict.tensors", fail)
        assert ask(client) == 502

    answered, asked = recorder.named(GRPC)[-2:]
    assert (answered.attributes or {})["rpc.response.status_code"] == "INTERNAL"
    assert (answered.attributes or {})["error.type"] == "INTERNAL"
    assert (asked.attributes or {})["error.type"] == "INTERNAL"
    assert (recorder.named("parse")[-1].attributes or {})["error.type"] == "INTERNAL"


def test_a_span_has_the_code_that_the_client_gets(
    model_server: ModelServer, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with digits(model_server.grpc, tmp_path) as client:

        def fail(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr("model_server.grpc_api.predict_request.read", fail)
        ask(client)

    answered = recorder.named(GRPC)[-2]
    assert (answered.attributes or {})["rpc.response.status_code"] == "RESOURCE_EXHAUSTED"


def test_log_lines_of_a_request_have_the_id_of_its_trace(
    make_app: MakeApp, recorder: Recorder
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(logs.LOGGER_NAME)
    logger.addHandler(handler)
    client = ready(make_app().test_client())
    try:
        for formatter in (logs.JsonFormatter(), logs.TextFormatter()):
            handler.setFormatter(formatter)
            client.post("/models/toy/predict", data=draw(), headers={"traceparent": PARENT})
    finally:
        logger.removeHandler(handler)

    as_json, as_text = stream.getvalue().splitlines()[-2:]
    assert json.loads(as_json)["trace_id"] == PARENT[3:35]
    assert f" trace_id={PARENT[3:35]}" in as_text


def test_the_model_server_writes_the_id_into_its_log(recorder: Recorder) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "loaded", None, None)
    formatter = TraceIdFormatter("%(levelname).1s %(message)s")
    tracing = spans.active()
    assert tracing
    server = tracing.server_span("x", {"traceparent": PARENT}, {})
    assert server

    with server.current():
        assert formatter.format(record) == f"I loaded trace_id={PARENT[3:35]}"
    assert formatter.format(record) == "I loaded"


def test_what_the_caller_says_of_its_trace_is_passed_on(recorder: Recorder) -> None:
    sent = {"traceparent": f"{PARENT[:-2]}00", "tracestate": "a=b", "baggage": "user=me"}
    passed_on: dict[str, str] = {}

    def answer(request: Request) -> Response:
        passed_on.update(request.headers)
        return Response(200, b'{"model_version_status": []}')

    tracing = spans.active()
    assert tracing
    server = tracing.server_span("x", sent, {})
    assert server
    with http_server(answer) as client, server.current():
        RestServing(f"http://127.0.0.1:{client.port}").status("digits", Deadline(60))

    assert passed_on["traceparent"].startswith(PARENT[:36])
    assert passed_on["traceparent"].endswith("-00")  # not sampled
    assert (passed_on["tracestate"], passed_on["baggage"]) == ("a=b", "user=me")
    assert recorder.all == []


def test_the_calls_of_an_explanation_are_in_its_trace(
    make_app: MakeApp, recorder: Recorder, serving: StubServing
) -> None:
    client = ready(make_app().test_client())

    assert client.post("/models/toy/explain?grid=2&format=json", data=draw()).status_code == 200

    route = "POST /models/<name>/explain"
    assert {("serving", REST), (route, "serving"), (route, "decode")} <= recorder.tree


def test_the_look_up_of_a_label_is_in_the_trace(
    make_app: MakeApp, recorder: Recorder, serving: StubServing
) -> None:
    serving.labels = {"stable": 1}
    client = ready(make_app().test_client())

    assert client.post("/models/toy/predict?label=stable", data=draw()).status_code == 200

    look_up = "GET /v1/models/{model}/labels/{label}/metadata"
    assert (SERVER, look_up) in recorder.tree
