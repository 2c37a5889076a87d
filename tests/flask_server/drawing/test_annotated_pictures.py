from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from flask_server.drawing import annotate
from flask_server.inference.ranking import Prediction
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, b64, draw, saved
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

URL = "/models/toy/predict"
PNG = {"Accept": "image/png"}
WHITE = saved(Image.new("RGB", (600, 400), "white"), "PNG")
LIGHT, MIDDLE = Prediction("id2", "light", 1.0), Prediction("id1", "middle", 0.25)


def opened(response: TestResponse) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.data))
    image.load()
    return image


def expected(
    *predictions: Prediction, version: int = 1, notices: tuple[str, ...] = (), data: bytes = WHITE
) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    title = f"toy, version {version}"
    return annotate.annotated(image, predictions, title=title, notices=notices)


def assert_drawn(response: TestResponse, image: Image.Image) -> None:
    found = opened(response)
    assert found.size == image.size
    assert found.tobytes() == image.tobytes()


def test_accept_png_draws_what_json_says(client: FlaskClient) -> None:
    response = client.post(f"{URL}?top_k=2", data=WHITE, headers=PNG)

    assert response.content_type == "image/png"
    assert_drawn(response, expected(LIGHT, MIDDLE))


def test_accept_jpeg_gets_jpeg(client: FlaskClient) -> None:
    response = client.post(URL, data=WHITE, headers={"Accept": "image/jpeg"})

    assert response.content_type == "image/jpeg"
    assert opened(response).format == "JPEG"


@pytest.mark.parametrize(
    "accept",
    ["application/json", "*/*", "image/png;q=0.1,*/*", "image/jpeg, *; q=.2, */*; q=.2", None],
)
def test_who_accepts_json_gets_json(client: FlaskClient, accept: str | None) -> None:
    response = client.post(URL, data=WHITE, headers={"Accept": accept} if accept else {})

    assert response.content_type == "application/json"


@pytest.mark.parametrize(
    "request_args",
    [
        pytest.param({"json": {"image": b64(WHITE), "top_k": 1}}, id="JSON"),
        pytest.param(
            {"data": {"image": (io.BytesIO(WHITE), "a.png"), "top_k": "1"}}, id="multipart"
        ),
        pytest.param({"data": {"image": b64(WHITE), "top_k": "1"}}, id="form field"),
        pytest.param({"data": WHITE, "query_string": {"top_k": "1"}}, id="raw body"),
    ],
)
def test_every_form_of_request(client: FlaskClient, request_args: dict[str, Any]) -> None:
    assert_drawn(client.post(URL, headers=PNG, **request_args), expected(LIGHT))


def test_parameters_hold_for_the_picture(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: Servable(), 2: Servable(score=lambda _: [0, 0, 0])}
    client = make_app().test_client()
    body = {"image": b64(WHITE), "version": 1, "labels": ["dark", "middle"], "threshold": 0.2}

    response = client.post(URL, json=body, headers=PNG)

    assert_drawn(response, expected(MIDDLE))


def test_the_picture_stands_upright(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = draw("JPEG", (900, 500), exif=exif)

    response = client.post(URL, data=data, headers=PNG)

    assert opened(response).width == 500


def test_more_detail_is_shown_than_the_model_sees(make_app: MakeApp) -> None:
    data = draw("JPEG", (1200, 900))

    response = make_app(fast_jpeg=True).test_client().post(URL, data=data, headers=PNG)

    assert opened(response).width == 1200


def test_scores_are_those_of_the_json_answer(make_app: MakeApp, serving: StubServing) -> None:
    """Showing more of a JPEG must not show the model other pixels."""
    spec = make_spec(input=InputSpec(height=4, width=4, interpolation="bicubic"))
    serving.models["toy"] = {1: Servable(spec)}
    client, data = make_app(fast_jpeg=True).test_client(), draw("JPEG", (1200, 900))

    client.post(URL, data=data)
    client.post(URL, data=data, headers=PNG)

    first, second = serving.predicts
    assert first == second


def test_warnings_stand_in_the_header_and_in_the_picture(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["toy"] = {1: Servable(make_spec(trained=False))}
    client = make_app().test_client()

    response = client.post(f"{URL}?top_k=1", data=WHITE, headers=PNG)

    warning = response.headers["X-Model-Warning"]
    assert "untrained" in warning
    assert_drawn(response, expected(LIGHT, notices=(warning,)))


def test_trained_models_have_no_warning(client: FlaskClient) -> None:
    assert "X-Model-Warning" not in client.post(URL, data=WHITE, headers=PNG).headers


@pytest.mark.parametrize(
    ("request_args", "outcome"),
    [
        pytest.param({"data": b"text"}, (415, "unsupported_image"), id="no picture"),
        pytest.param({"data": WHITE[:60]}, (422, "corrupt_image"), id="damaged"),
        pytest.param({"data": b""}, (400, "missing_image"), id="empty"),
        pytest.param({"json": {"image": "!"}}, (400, "invalid_base64"), id="no base64"),
        pytest.param({"json": {"image": b64(WHITE), "top_k": 9}}, (400, "invalid_parameter")),
        pytest.param({"json": {"images": [b64(WHITE)]}}, (406, "not_acceptable"), id="several"),
    ],
)
def test_errors_stay_problem_documents(
    client: FlaskClient, request_args: dict[str, Any], outcome: tuple[int, str]
) -> None:
    response = client.post(URL, headers=PNG, **request_args)

    assert response.content_type == "application/problem+json"
    assert (response.status_code, json.loads(response.data)["code"]) == outcome


def test_an_accept_that_allows_no_form_is_told_which_there_are(
    client: FlaskClient, serving: StubServing
) -> None:
    response = client.post(URL, data=WHITE, headers={"Accept": "image/webp"})

    assert response.status_code == 406
    problem = json.loads(response.data)
    assert problem["code"] == "not_acceptable"
    assert "application/json, image/png, image/jpeg" in problem["detail"]
    assert serving.predicts == []


def test_several_pictures_with_a_second_choice_are_json(client: FlaskClient) -> None:
    accept = {"Accept": "image/png, application/json;q=0.5"}

    response = client.post(URL, json={"images": [b64(WHITE)] * 2}, headers=accept)

    assert response.content_type == "application/json"


def test_timing_covers_the_drawing(client: FlaskClient) -> None:
    response = client.post(URL, data=WHITE, headers=PNG)

    stages = [part.split(";")[0] for part in response.headers["Server-Timing"].split(", ")]
    assert stages == ["decode", "preprocess", "serving", "postprocess", "total"]
