from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from model_catalog.spec import ModelSpec
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

URL = "/models/toy/predict"
WHITE, BLACK = flat("white"), flat("black")


def best(response: TestResponse) -> str:
    assert response.json is not None, response.text
    label = response.json["predictions"][0]["label"]
    assert isinstance(label, str)
    return label


def code(response: TestResponse) -> tuple[int, str]:
    assert response.json is not None, response.text
    return response.status_code, response.json["code"]


def test_json_answer(client: FlaskClient) -> None:
    response = client.post(URL, json={"image": b64(WHITE), "top_k": 2})

    assert response.json == {
        "model": "toy",
        "version": 1,
        "predictions": [
            {"class_id": "id2", "label": "light", "score": 1.0},
            {"class_id": "id1", "label": "middle", "score": 0.25},
        ],
    }


@pytest.mark.parametrize(
    "request_args",
    [
        pytest.param({"json": {"image": b64(WHITE)}}, id="JSON"),
        pytest.param({"json": {"image": f"data:image/png;base64,{b64(WHITE)}"}}, id="data URL"),
        pytest.param(
            {"data": json.dumps({"image": b64(WHITE)}), "content_type": "application/vnd.a+json"},
            id="a JSON dialect",
        ),
        pytest.param({"data": {"image": (io.BytesIO(WHITE), "a.png")}}, id="multipart file"),
        pytest.param({"data": {"image": b64(WHITE)}}, id="form field"),
        pytest.param({"data": WHITE, "content_type": "image/png"}, id="raw body"),
        pytest.param({"data": WHITE, "content_type": "application/octet-stream"}, id="raw bytes"),
        pytest.param({"data": WHITE}, id="no type"),
    ],
)
def test_every_form_of_request(client: FlaskClient, request_args: dict[str, Any]) -> None:
    assert best(client.post(URL, **request_args)) == "light"


def test_top_k_in_the_query_of_a_raw_body(client: FlaskClient) -> None:
    response = client.post(f"{URL}?top_k=1", data=WHITE, content_type="image/png")

    assert response.json is not None
    assert len(response.json["predictions"]) == 1


def test_several_images_keep_their_order_and_their_errors(client: FlaskClient) -> None:
    images = [b64(WHITE), "!", b64(BLACK), None, 7, b64(b"text"), b64(WHITE[:50])]

    response = client.post(URL, json={"images": images, "top_k": 1})

    assert response.status_code == 200
    assert response.json is not None
    results = response.json["results"]
    assert results[0]["predictions"][0]["label"] == "light"
    assert results[2]["predictions"][0]["label"] == "dark"
    assert [r["error"]["code"] for r in results if "error" in r] == [
        "invalid_base64",
        "missing_image",
        "invalid_parameter",
        "unsupported_image",
        "corrupt_image",
    ]


def test_several_images_are_one_call_to_serving(client: FlaskClient, serving: StubServing) -> None:
    client.post(URL, json={"images": [b64(WHITE)] * 7})

    assert [len(call["instances"]) for call in serving.predicts] == [7]


def test_nothing_is_asked_when_no_image_is_usable(
    client: FlaskClient, serving: StubServing
) -> None:
    response = client.post(URL, json={"images": ["!", ""]})

    assert response.status_code == 200
    assert serving.predicts == []


def test_several_files(client: FlaskClient) -> None:
    files = [(io.BytesIO(WHITE), "a.png"), (io.BytesIO(BLACK), "b.png")]

    response = client.post(URL, data={"image": files, "top_k": "1"})

    assert response.json is not None
    labels = [result["predictions"][0]["label"] for result in response.json["results"]]
    assert labels == ["light", "dark"]


@pytest.mark.parametrize(
    ("request_args", "outcome"),
    [
        pytest.param({"data": "{", "content_type": "application/json"}, (400, "invalid_json")),
        pytest.param(
            {"data": "[" * 99999, "content_type": "application/json"}, (400, "invalid_json")
        ),
        pytest.param({"data": b"\xff", "content_type": "application/json"}, (400, "invalid_json")),
        pytest.param({"json": [1]}, (400, "invalid_json")),
        pytest.param({"json": {}}, (400, "missing_image")),
        pytest.param({"json": {"image": None}}, (400, "missing_image")),
        pytest.param({"json": {"image": ""}}, (400, "missing_image")),
        pytest.param({"json": {"image": 5}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": ["a"]}}, (400, "invalid_parameter")),
        pytest.param({"json": {"images": "a"}}, (400, "invalid_parameter")),
        pytest.param({"json": {"images": []}}, (400, "invalid_parameter")),
        pytest.param({"json": {"images": ["a"], "image": "a"}}, (400, "invalid_parameter")),
        pytest.param({"json": {"images": ["a"] * 33}}, (413, "too_many_images")),
        pytest.param({"json": {"image": b64(WHITE), "top_k": 0}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": b64(WHITE), "top_k": 4}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": b64(WHITE), "top_k": 1.5}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": b64(WHITE), "top_k": True}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": b64(WHITE), "topk": 3}}, (400, "invalid_parameter")),
        pytest.param({"json": {"image": b64(WHITE), "version": 9}}, (404, "unknown_version")),
        pytest.param({"json": {"image": b64(WHITE), "version": 2**63}}, (404, "unknown_version")),
        pytest.param(
            {"data": {"picture": (io.BytesIO(WHITE), "a.png")}}, (400, "invalid_parameter")
        ),
        pytest.param({"data": {"images": b64(WHITE)}}, (400, "invalid_parameter")),
        pytest.param(
            {"data": WHITE, "headers": {"Content-Encoding": "gzip"}},
            (415, "unsupported_media_type"),
        ),
        pytest.param({"json": {"image": b64(WHITE), "label": "x"}}, (404, "unknown_version")),
        pytest.param(
            {"json": {"image": b64(WHITE), "label": "x", "version": 1}}, (400, "invalid_parameter")
        ),
        pytest.param({"data": b"", "content_type": "image/png"}, (400, "missing_image")),
        pytest.param({"data": {"top_k": "1"}}, (400, "missing_image")),
        pytest.param({"data": b"x", "content_type": "text/plain"}, (415, "unsupported_media_type")),
    ],
)
def test_bad_request_has_status_and_code(
    client: FlaskClient, request_args: dict[str, Any], outcome: tuple[int, str]
) -> None:
    assert code(client.post(URL, **request_args)) == outcome


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.1),
        ("threshold", -0.1),
        ("threshold", "much"),
        ("threshold", True),
        ("threshold", float("nan")),
        ("labels", []),
        ("labels", [1]),
        ("labels", {"a": 1}),
        ("labels", ["cat"]),
        ("report", "maybe"),
        ("label", ".."),
        ("label", "a/b"),
        ("label", "\ud800"),
        ("label", "x" * 129),
        ("report", 2),
        ("report", {}),
    ],
)
def test_bad_parameter_is_named(client: FlaskClient, name: str, value: Any) -> None:
    response = client.post(URL, json={"image": b64(WHITE), name: value})

    assert code(response) == (400, "invalid_parameter")
    assert response.json is not None
    assert response.json["detail"].startswith(name)


@pytest.mark.parametrize(
    "request_args",
    [
        pytest.param(
            {"json": {"image": b64(WHITE), "labels": ["dark", "middle"], "threshold": 0.2}},
            id="JSON",
        ),
        pytest.param(
            {"data": {"image": b64(WHITE), "labels": "dark,middle", "threshold": "0.2"}}, id="form"
        ),
        pytest.param(
            {"data": WHITE, "query_string": {"labels": "id0,id1", "threshold": "0.2"}}, id="query"
        ),
    ],
)
def test_threshold_and_labels_in_every_form(
    client: FlaskClient, request_args: dict[str, Any]
) -> None:
    response = client.post(URL, **request_args)

    assert response.json is not None
    assert [p["label"] for p in response.json["predictions"]] == ["middle"]


@pytest.mark.parametrize(
    ("url", "data"),
    [
        pytest.param(URL, {"image": b64(WHITE), "labels": ["dark", "middle"]}, id="form"),
        pytest.param(f"{URL}?labels=dark&labels=middle", WHITE, id="query"),
    ],
)
def test_labels_may_be_given_one_by_one(client: FlaskClient, url: str, data: Any) -> None:
    response = client.post(url, data=data)

    assert response.json is not None
    assert {p["label"] for p in response.json["predictions"]} == {"dark", "middle"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        pytest.param("top_k=1&top_k=2", "'top_k' is given 2 times; once is allowed", id="twice"),
        pytest.param("image=x", "image is given in the query; send images in", id="picture"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(
    client: FlaskClient, query: str, said: str
) -> None:
    response = client.post(f"{URL}?{query}", data=WHITE)

    assert code(response) == (400, "invalid_parameter")
    assert said in response.text


@pytest.mark.parametrize("url", [URL, "/imageclassifier/predict/"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_has_a_bounded_number_of_fields(client: FlaskClient, url: str, kind: str) -> None:
    fields = {f"field{number}": "" for number in range(1100)}

    response = client.post(url, data=fields, content_type=kind)

    assert code(response) == (413, "body_too_large")


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_a_body_may_say_that_it_is_not_encoded(client: FlaskClient, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}

    assert client.post(URL, data=WHITE, headers=headers).status_code == 200


def test_report_tells_what_was_done_to_the_picture(client: FlaskClient) -> None:
    response = client.post(URL, json={"image": b64(flat((9, 9, 9, 9), "RGBA")), "report": True})

    assert response.json is not None
    assert response.json["report"] == {
        "format": "PNG",
        "size": [8, 8],
        "orientation": 1,
        "alpha_flattened": True,
        "converted_from": "RGBA",
        "shrunk_while_decoding_to": None,
        "cropped": None,
        "resized_from": [8, 8],
        "resized_to": [4, 4],
        "padded": False,
    }


def test_report_of_several_images_stands_with_each(client: FlaskClient) -> None:
    response = client.post(URL, json={"images": [b64(WHITE), "!"], "report": True})

    assert response.json is not None
    first, second = response.json["results"]
    assert first["report"]["format"] == "PNG"
    assert "report" not in second


def test_unknown_model(client: FlaskClient) -> None:
    response = client.post("/models/nobody/predict", json={"image": b64(WHITE)})

    assert code(response) == (404, "unknown_model")


def test_pinned_version_and_label(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: Servable(), 2: Servable(score=lambda _: [0, 1, 0])}
    serving.labels["stable"] = 1
    client = make_app().test_client()

    assert best(client.post(URL, json={"image": b64(WHITE)})) == "middle"
    assert best(client.post(URL, json={"image": b64(WHITE), "version": 1})) == "light"
    assert best(client.post(URL, json={"image": b64(WHITE), "label": "stable"})) == "light"
    assert best(client.post(f"{URL}?version=1", data=WHITE)) == "light"


def test_untrained_model_warns_in_the_body(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: Servable(make_spec(trained=False))}

    response = make_app().test_client().post(URL, json={"image": b64(WHITE)})

    assert response.json is not None
    assert "untrained" in response.json["warnings"][0]


def test_models_lists_every_model_and_what_it_is(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["raw"] = {3: Servable(make_spec(trained=False))}
    app = make_app(
        '[models.toy]\nbase_path="a"\n[models.raw]\nbase_path="b"\n[models.no]\nbase_path="c"\n'
    )

    response = app.test_client().get("/models")

    assert response.json is not None
    toy, raw, missing = response.json["models"]
    assert (toy["name"], toy["default"], toy["ready"], toy["version"]) == ("toy", True, True, 1)
    assert (raw["default"], raw["trained"], raw["version"]) == (False, False, 3)
    assert "untrained" in raw["warnings"][0]
    assert (missing["ready"], missing["version"]) == (False, None)
    assert "labels" not in toy


def test_the_list_of_models_copies_no_labels(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = client.get("/models/toy").json
    monkeypatch.delattr(ModelSpec, "to_dict")

    response = client.get("/models")

    assert shown is not None
    assert response.json is not None
    (summary,) = response.json["models"]
    assert summary == {key: value for key, value in shown.items() if key != "spec"}
    assert summary["input"] == shown["spec"]["input"]
    assert summary["output"] == shown["spec"]["output"]


@pytest.mark.parametrize(
    ("header", "engine", "precision"),
    [
        ("openvino; precision=bf16", "openvino", "bf16"),
        ("openvino; precision=int8", "openvino", "int8"),
        ("tensorflow", "tensorflow", None),
        ("", None, None),
        ("<b>; precision=bf16", None, None),
        ("e" * 100, None, None),
    ],
)
def test_a_model_shows_the_engine_that_the_model_server_tells(
    make_app: MakeApp, serving: StubServing, header: str, engine: str | None, precision: str | None
) -> None:
    serving.models["toy"][1].engine = header

    shown = make_app().test_client().get("/models/toy").json

    assert shown is not None
    assert (shown["engine"], shown["precision"]) == (engine, precision)


def test_one_model_shows_its_spec(client: FlaskClient) -> None:
    response = client.get("/models/toy")

    assert response.json is not None
    assert response.json["spec"]["labels"] == [["id0", "dark"], ["id1", "middle"], ["id2", "light"]]
    assert code(client.get("/models/nobody")) == (404, "unknown_model")


@pytest.mark.parametrize("size", [(4, 4), (33, 7)])
def test_every_answer_has_request_id_and_timing(client: FlaskClient, size: tuple[int, int]) -> None:
    response = client.post(URL, data=draw(size=size), headers={"X-Request-ID": "my-id"})

    assert response.headers["X-Request-ID"] == "my-id"
    stages = [part.split(";")[0] for part in response.headers["Server-Timing"].split(", ")]
    assert stages == ["decode", "preprocess", "serving", "postprocess", "total"]
