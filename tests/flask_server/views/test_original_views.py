from __future__ import annotations

import io

import pytest
from flask.testing import FlaskClient
from werkzeug.test import encode_multipart

from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

URL = "/imageclassifier/predict/"


def test_form_field_gives_triples_best_first(client: FlaskClient) -> None:
    response = client.post(URL, data={"b64": b64(flat("white"))})

    assert response.status_code == 200
    assert response.json == [
        ["id2", "light", 1.0],
        ["id1", "middle", 0.25],
        ["id0", "dark", 0.0],
    ]


def test_five_triples_of_a_model_with_more_classes(make_app: MakeApp, serving: StubServing) -> None:
    spec = make_spec(labels=tuple("abcdefg"))
    serving.models["toy"] = {1: Servable(spec, lambda _: [0, 1, 2, 3, 4, 5, 6])}

    response = make_app().test_client().post(URL, data={"b64": b64(draw())})

    assert response.json is not None
    assert [triple[1] for triple in response.json] == ["g", "f", "e", "d", "c"]


def test_multipart_field_of_five_megabytes(client: FlaskClient) -> None:
    picture = draw("BMP", (1200, 1050))
    text = b64(picture)
    assert len(text) > 5_000_000

    boundary, body = encode_multipart({"b64": text})
    kind = f"multipart/form-data; boundary={boundary}"

    response = client.post(URL, data=body, content_type=kind)

    assert response.status_code == 200


@pytest.mark.parametrize("content_type", [None, "multipart/form-data"])
def test_blank_is_a_lost_plus_and_lines_are_joined(
    client: FlaskClient, content_type: str | None
) -> None:
    text = next(t for t in (b64(draw(seed=seed)) for seed in range(99)) if "+" in t)
    wrapped = "\r\n".join(text.replace("+", " ")[i : i + 60] for i in range(0, len(text), 60))

    response = client.post(URL, data={"b64": wrapped}, content_type=content_type)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        pytest.param({}, 400, "missing_image", id="no field"),
        pytest.param({"b64": ""}, 400, "missing_image", id="empty field"),
        pytest.param({"b64": "!!!"}, 400, "invalid_base64", id="not base64"),
        pytest.param({"b64": b64(b"hello")}, 415, "unsupported_image", id="text"),
        pytest.param({"b64": b64(draw()[:60])}, 422, "corrupt_image", id="truncated"),
    ],
)
def test_bad_picture_has_status_and_code(
    client: FlaskClient, form: dict[str, str], status: int, code: str
) -> None:
    response = client.post(URL, data=form)

    assert response.status_code == status
    assert response.json is not None
    assert response.json["code"] == code
    assert response.json["status"] == status


def test_untrained_model_warns_in_a_header(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: Servable(make_spec(trained=False))}

    response = make_app().test_client().post(URL, data={"b64": b64(draw())})

    assert "untrained" in response.headers["X-Model-Warning"]
    assert isinstance(response.json, list)


def test_the_first_model_of_the_file_is_asked(make_app: MakeApp, serving: StubServing) -> None:
    serving.models = {"second": {1: Servable()}, "first": {1: Servable(score=lambda _: [1, 0, 0])}}
    app = make_app('[models.first]\nbase_path="a"\n[models.second]\nbase_path="b"\n')

    response = app.test_client().post(URL, data={"b64": b64(flat("white"))})

    assert response.json is not None
    assert response.json[0][1] == "dark"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ping(client: FlaskClient, method: str) -> None:
    assert client.open("/hello/", method=method).text == "Hello, World!"


def test_a_file_in_the_field_is_no_text(client: FlaskClient) -> None:
    response = client.post(URL, data={"b64": (io.BytesIO(draw()), "cat.png")})

    assert response.status_code == 400
