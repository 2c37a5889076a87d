"""The REST contract over a real socket, with toy models: statuses, order of checks, layout."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server.engines.protocol import Signature, Tensors
from model_server.errors import BY_CODE, ModelServerError
from model_server.metrics import Metrics
from model_server.models.registry import Registry, Servable, State
from model_server.models.versions import Latest, ModelConfig, RequestLogging, Specific
from model_server.rest.api import STATUS, Rest, RestOptions
from model_server.transport.http_messages import Request
from tests.model_server.harness import Client, http_server, in_threads
from tests.model_server.toy import ToyModel, broken, failing, half_plus, one, picky, signature

OWN_METHOD = ToyModel(
    {"serving_default": signature({"x": "float"}, {"y": "float"}, method="own")},
    {"serving_default": picky},
)
OTHER = ToyModel({"other": signature({"x": "float"}, {"y": "float"})}, {"other": picky})
NO_INPUTS = ToyModel(
    {"serving_default": signature({}, {"y": "float"})},
    {"serving_default": lambda _: {"y": np.zeros(1, dtype=np.float32)}},
)


def models() -> dict[tuple[str, int], ToyModel]:
    regression = ToyModel(
        {"serving_default": signature({"inputs": "string"}, {"outputs": "float"})},
        {"serving_default": lambda inputs: {"outputs": np.ones(len(inputs["inputs"]), np.float32)}},
    )
    echo = one(lambda inputs: {"out": inputs["text"]}, {"text": "string"}, {"out": "string"})
    return {
        ("m", 1): half_plus(2),
        ("m", 2): half_plus(3),
        ("other", 1): OTHER,
        ("own", 1): OWN_METHOD,
        ("no_inputs", 1): NO_INPUTS,
        ("echo", 1): echo,
        ("regression", 1): regression,
        ("broken", 1): one(broken, {"x": "float"}, {"y": "float"}),
        **{(f"fails_{code}", 1): failing(code) for code in BY_CODE},
    }


def registry() -> Registry:
    registry = Registry()
    for (name, version), model in models().items():
        servable = Servable(name, version)
        registry.add(servable)
        registry.set_state(servable, State.AVAILABLE, model=model)
    registry.set_labels({"m": {"stable": 1, "gone": 9}})
    return registry


def rest(**options: Any) -> Rest:
    return Rest(registry(), Metrics(), RestOptions(**options))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with http_server(rest().respond) as client:
        yield client


ROW = '{"instances": [1.0, 2.0]}'
#: Without the time, so that all processes that run the tests give them the same names.
ZIPPED = gzip.compress(ROW.encode(), mtime=0)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/models/m:predict", "[3.5, 4.0\n    ]"),
        ("/v1/models/m/versions/1:predict", "[2.5, 3.0\n    ]"),
        ("/v1/models/m/versions/0002:predict", "[3.5, 4.0\n    ]"),
        ("/v1/models/m/labels/stable:predict", "[2.5, 3.0\n    ]"),
    ],
)
def test_predictions_come_from_the_version_asked_for(client: Client, path: str, text: str) -> None:
    reply = client.call("POST", path, ROW)

    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.body.decode() == f'{{\n    "predictions": {text}\n}}'


class Readers(dict[str, Signature]):
    """Signatures that note how many requests look for theirs, while they are read, at once."""

    now = most = 0

    def get(self, name: str, default: Any = None) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.02)
        self.now -= 1
        return super().get(name, default)


def test_costly_bodies_are_read_one_by_one_and_run_together() -> None:
    all_run = threading.Barrier(3)

    def function(inputs: Tensors) -> Tensors:
        all_run.wait(60)
        return {"y": inputs["x"][:1]}

    model = one(function, {"x": "float"}, {"y": "float"})
    model.signatures = readers = Readers(model.signatures)
    loaded, servable = Registry(), Servable("m", 1)
    loaded.add(servable)
    loaded.set_state(servable, State.AVAILABLE, model=model)
    server = Rest(loaded, Metrics(), RestOptions())
    path, body = "/v1/models/m:predict", b'{"instances":[%b0]}' % (b"0," * 200_000)
    request, answers = Request("POST", path, path, {}, body), []

    with in_threads(3, lambda _: answers.append(server.respond(request))):
        pass

    assert [answer.status for answer in answers] == [200] * 3
    assert readers.most == 1


def test_columns_in_give_columns_out(client: Client) -> None:
    reply = client.predict("m", {"inputs": [1]})

    assert reply.body == b'{\n    "outputs": [\n        3.5\n    ]\n}'


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("nope:predict", "not json", 400, "JSON Parse error: Invalid value. at offset: 1"),
        (
            "nope:predict",
            '{"signature_name": 1}',
            400,
            'JSON Value: {\n    "signature_name": 1\n} not formatted correctly.'
            " 'signature_name' key must be a string value.",
        ),
        ("nope:predict", "{}", 404, "Servable not found for request: Latest(nope)"),
        (
            "m/versions/9:predict",
            "{}",
            404,
            "Servable not found for request: Specific(m, 9)",
        ),
        ("m/labels/gone:predict", "{}", 404, "Servable not found for request: Specific(m, 9)"),
        ("m/labels/nope:predict", "{}", 400, "Unrecognized servable version label: nope"),
        ("nope/labels/x:predict", "{}", 400, "Unrecognized servable version label: x"),
        (
            "m:predict",
            '{"signature_name": "nope"}',
            400,
            'Serving signature name: "nope" not found in signature def',
        ),
        (
            "other:predict",
            "{}",
            400,
            'Serving signature name: "serving_default" not found in signature def',
        ),
        ("no_inputs:predict", "{}", 400, "Failed to get input map for signature: DEFAULT"),
        ("m:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
        (
            "nope:classify",
            "{}",
            400,
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
        ),
        (
            "nope:regress",
            '{"examples": [{}]}',
            404,
            "Servable not found for request: Latest(nope)",
        ),
        (
            "m:regress",
            '{"examples": [{}], "signature_name": "s"}',
            400,
            "No signature was found with the name: s",
        ),
    ],
)
def test_the_first_failing_check_answers(
    client: Client, path: str, body: str, status: int, error: str
) -> None:
    reply = client.call("POST", f"/v1/models/{path}", body)

    assert (reply.status, reply.error) == (status, error)


def test_another_signature_is_found_by_its_name(client: Client) -> None:
    reply = client.predict("other", {"signature_name": "other", "instances": [4]})

    assert reply.json == {"predictions": [4.0]}


def test_an_empty_signature_name_means_the_default(client: Client) -> None:
    assert client.predict("m", {"signature_name": "", "instances": [1]}).status == 200


def test_regressions_are_answered(client: Client) -> None:
    reply = client.call("POST", "/v1/models/regression:regress", '{"examples": [{}, {}]}')

    assert reply.body == b'{\n    "results": [1.0, 1.0]\n}'


@pytest.mark.parametrize("code", BY_CODE)
def test_every_code_has_its_status(client: Client, code: str) -> None:
    reply = client.predict(f"fails_{code}", {"instances": [1]})

    assert (reply.status, reply.error) == (STATUS[code], f"the model says {code}")


def test_the_status_table_is_complete() -> None:
    assert set(STATUS) == {leaf.code for leaf in ModelServerError.__subclasses__()}


def test_reason_phrases_are_those_of_libevent(client: Client) -> None:
    codes = ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED")

    reasons = [client.predict(f"fails_{code}", {"instances": [1]}).reason for code in codes]

    assert reasons == ["Gateway Time-out", "Client Error", "Client Error"]


def test_a_defect_of_a_model_is_a_500_and_nothing_more(client: Client) -> None:
    reply = client.predict("broken", {"instances": [1]})

    assert (reply.status, "ZeroDivisionError" in reply.error) == (500, True)
    assert client.predict("m", {"instances": [1]}).status == 200


def test_a_status_lists_the_highest_version_first(client: Client) -> None:
    assert list(client.states("m").items()) == [(2, "AVAILABLE"), (1, "AVAILABLE")]


@pytest.mark.parametrize("path", ["m/labels/stable", "m/labels/nope", "m/METADATA"])
def test_a_status_ignores_labels(client: Client, path: str) -> None:
    reply = client.get(f"/v1/models/{path}")

    assert len(reply.json["model_version_status"]) == 2


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("nope", 404, "Could not find any versions of model nope"),
        ("m/versions/9", 404, "Could not find version 9 of model m"),
        ("nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("m/versions/9/metadata", 404, "Servable not found for request: Specific(m, 9)"),
        ("m/labels/nope/metadata", 400, "Unrecognized servable version label: nope"),
    ],
)
def test_what_cannot_be_found(client: Client, path: str, status: int, error: str) -> None:
    reply = client.get(f"/v1/models/{path}")

    assert (reply.status, reply.error) == (status, error)


def test_metadata_names_the_version_that_was_meant(client: Client) -> None:
    newest = client.get("/v1/models/m/metadata").json
    labelled = client.get("/v1/models/m/labels/stable/metadata").json

    assert newest["model_spec"] == {"name": "m", "version": "2", "signature_name": ""}
    assert labelled["model_spec"]["version"] == "1"


def test_metadata_tells_the_engine_in_a_header(client: Client) -> None:
    assert client.get("/v1/models/m/metadata").headers["model-engine"] == "toy; precision=f32"


@pytest.mark.parametrize("path", ["/", "/v1", "/statuspage", "/monitoring/prometheus/metrics"])
def test_other_paths_get_the_page_of_libevent(client: Client, path: str) -> None:
    reply = client.get(path)

    assert (reply.status, reply.headers["content-type"]) == (404, "text/html")
    assert b"<TITLE>404 Not Found</TITLE>" in reply.body


def test_a_version_beyond_64_bits_is_an_empty_400(client: Client) -> None:
    reply = client.get(f"/v1/models/m/versions/{2**63}")

    assert (reply.status, reply.body) == (400, b"")


@pytest.mark.parametrize("encoding", ["gzip", "my_gzip", "gzip, x"])
def test_bodies_may_be_zipped(client: Client, encoding: str) -> None:
    body = gzip.compress(ROW.encode())

    reply = client.call("POST", "/v1/models/m:predict", body, {"Content-Encoding": encoding})

    assert reply.status == 200
    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (b"\x1f\x8bnonsense", "gzip", "JSON Parse error: The document is empty"),
        (ZIPPED[:-9], "gzip", "JSON Parse error: The document is empty"),
        (ZIPPED, "GZIP", "JSON Parse error: Invalid value. at offset: 0"),
    ],
)
def test_what_cannot_be_unzipped_counts_as_empty(
    client: Client, body: bytes, encoding: str, error: str
) -> None:
    reply = client.call("POST", "/v1/models/m:predict", body, {"Content-Encoding": encoding})

    assert (reply.status, reply.error) == (400, error)


def test_a_zip_bomb_counts_as_empty(client: Client) -> None:
    body = gzip.compress(b'{"instances": [1' + b" " * (100 << 20) + b"]}", 1)

    reply = client.call("POST", "/v1/models/m:predict", body, {"Content-Encoding": "gzip"})

    assert (reply.status, reply.error) == (400, "JSON Parse error: The document is empty")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://a"}, 200),
        ({"Origin": "https://a"}, 200),
        ({"Origin": "a"}, 400),
        ({}, 400),
    ],
)
def test_preflights_depend_on_the_origin(
    client: Client, headers: dict[str, str], status: int
) -> None:
    reply = client.call("OPTIONS", "/v1/models/m:predict", headers=headers)

    assert (reply.status, reply.body) == (status, b"")
    assert "access-control-allow-origin" not in reply.headers


CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/m"),
        ("GET", "/v1/models/nope"),
        ("GET", "/v1/nonsense"),
        ("GET", f"/v1/models/m/versions/{2**63}"),
        ("OPTIONS", "/v1/models/m"),
    ],
)
def test_with_cors_every_answer_carries_the_headers(method: str, path: str) -> None:
    with http_server(rest(cors=True).respond) as client:
        reply = client.call(method, path)

    assert CORS.items() <= reply.headers.items()


@pytest.mark.parametrize(("strict", "status"), [(False, 200), (True, 500)])
def test_the_method_name_of_a_predicting_signature_is_checked_where_asked_for(
    strict: bool, status: int
) -> None:
    with http_server(rest(strict_methods=strict).respond) as client:
        reply = client.predict("own", {"instances": [1, 2]})
        early = client.predict("own", {"instances": ["x"]})

    assert (reply.status, early.status) == (status, 400)
    text = "Expected prediction signature method_name to be one of {tensorflow/serving/predict,"
    assert (text in reply.body.decode()) is strict


def test_metrics_count_answers_by_model_and_code() -> None:
    with http_server(rest(metrics_path="/metrics").respond) as client:
        client.predict("m", {"instances": [1, 2]})
        client.predict("m", {})
        client.get("/v1/models/nope")
        client.call("POST", "/v1/models/regression:regress", '{"examples": [{}]}')
        reply = client.get("/metrics")
        elsewhere = client.get("/metrics?x=1")
        default = client.get("/monitoring/prometheus/metrics")

    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain")
    text = reply.body.decode()
    assert "# TYPE :tensorflow:serving:request_count counter\n" in text
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1\n' in text
    assert ':request_count{model_name="m",status="INVALID_ARGUMENT"} 1\n' in text
    assert ':request_count{model_name="nope",status="NOT_FOUND"} 1\n' in text
    assert ':request_example_count_total{model="m"} 2\n' in text
    assert ':request_latency_count{model_name="m",API="predict",entrypoint="REST"} 1\n' in text
    assert ':runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 1\n' in text
    of_regress = 'model_name="regression",API="Regress",runtime="TF1"'
    assert f":runtime_latency_count{{{of_regress}}} 1\n" in text
    assert (elsewhere.status, elsewhere.body) == (
        400,
        b"Unexpected path: /metrics?x=1. Should be /metrics",
    )
    assert default.status == 404


@pytest.mark.parametrize("path", [None, "/monitoring/prometheus/metrics"])
def test_metrics_are_always_at_the_path_that_prometheus_asks_for(path: str | None) -> None:
    with http_server(rest(metrics_path=path).respond) as client:
        client.predict("m", {"instances": [1]})
        plain, query = client.get("/metrics"), client.get("/metrics?name=x")

    assert plain.body == query.body
    assert b':request_count{model_name="m",status="OK"} 1' in plain.body


HOSTILE = [
    pytest.param(b"{" * 100_000, id="open braces"),
    pytest.param(b'{"instances": ' + b"[" * 200_000, id="open brackets"),
    pytest.param(b'{"instances": [' + b"9" * 100_000 + b"]}", id="a huge int"),
    pytest.param(b'{"instances": ["\xff\xfe\xfd"]}', id="invalid UTF-8"),
    pytest.param(b'{"instances": [[1, 2], [3]]}', id="ragged"),
    pytest.param(b'{"instances": [{"x": {"x": {}}}]}', id="objects in objects"),
    pytest.param(b'{"instances": [1e999]}', id="too big"),
    pytest.param(b"\0" * 1000, id="zeros"),
    pytest.param(json.dumps({"instances": [[0.5] * 9000, "x"]}).encode(), id="long and odd"),
]


@pytest.mark.parametrize("body", HOSTILE)
def test_after_bad_input_the_next_good_request_is_answered(client: Client, body: bytes) -> None:
    bad = client.call("POST", "/v1/models/m:predict", body)
    good = client.call("POST", "/v1/models/m:predict", ROW)

    assert bad.status == 400
    assert bad.body.startswith(b'{\n    "error": "')
    assert good.status == 200


def test_deep_nesting_in_a_key_that_nobody_reads_does_no_harm(client: Client) -> None:
    depth = 50_000
    body = f'{{"instances": [1], "x": {"[" * depth}{"]" * depth}}}'

    assert client.call("POST", "/v1/models/m:predict", body).status == 200


def test_strings_pass_through_byte_by_byte(client: Client) -> None:
    body = b'{"instances": ["\xff", "\\u00e9\\ud83d\\ude00", "a\\u0000b"]}'

    reply = client.call("POST", "/v1/models/echo:predict", body)

    assert reply.body == (
        b'{\n    "predictions": ["\xff", "\xc3\xa9\xf0\x9f\x98\x80", "a\\u0000b"\n    ]\n}'
    )


def test_models_and_configuration_are_listed() -> None:
    configs = [
        ModelConfig("m", Path("/models/m"), Latest(2), {"stable": 1}),
        ModelConfig(
            "none",
            Path("/models/none"),
            Specific(frozenset({3, 1})),
            logging=RequestLogging(0.5, "/logs/none"),
        ),
    ]
    own = Rest(registry(), Metrics(), RestOptions(), configured=lambda: configs)
    with http_server(own.respond) as client:
        models, config = client.get("/v1/models").json, client.get("/v1/config").json

    assert models["models"] == ["m", "none"]
    assert [s["version"] for s in models["model_version_status"]["m"]] == ["2", "1"]
    assert models["model_version_status"]["none"] == []
    assert config == {
        "model_config_list": {
            "config": [
                {
                    "name": "m",
                    "base_path": "/models/m",
                    "model_platform": "tensorflow",
                    "model_version_policy": {"latest": {"num_versions": 2}},
                    "version_labels": {"stable": "1"},
                },
                {
                    "name": "none",
                    "base_path": "/models/none",
                    "model_platform": "tensorflow",
                    "model_version_policy": {"specific": {"versions": ["1", "3"]}},
                    "logging_config": {
                        "log_collector_config": {
                            "type": "file",
                            "filename_prefix": "/logs/none",
                        },
                        "sampling_config": {"sampling_rate": 0.5},
                    },
                },
            ]
        }
    }
