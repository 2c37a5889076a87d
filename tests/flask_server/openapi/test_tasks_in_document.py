"""The answers of every task are those that the document describes, in each media type."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from flask_server.openapi.document import document as describe
from flask_server.settings import Settings
from flask_server.views.task_answers import ANSWERS, MEDIA_TYPES
from flask_server.web.negotiation import JSON
from model_catalog.spec import SCORE_TASKS, TASKS
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.openapi.test_openapi import check_answer
from tests.flask_server.stub_serving import StubServing
from tests.flask_server.task_models import serve

PATH = "/models/{name}/predict"
DOCUMENT = describe(Settings(), "toy")


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def client(make_app: MakeApp, serving: StubServing, task: str) -> FlaskClient:
    return make_app(serve(serving, [task])).test_client()


def test_every_media_type_is_described() -> None:
    described = DOCUMENT["paths"][PATH]["post"]["responses"]["200"]["content"]

    assert set(described) == set(MEDIA_TYPES)


def test_json_of_every_task_is_as_described(client: FlaskClient, task: str) -> None:
    url = PATH.replace("{name}", task)
    one = client.post(url, data=flat("white"), query_string={"report": "true"})
    files = [(io.BytesIO(data), "a.png") for data in (flat("white"), b"no image")]
    several = client.post(url, data={"image": files})
    numbers = client.post(url, json={"tensor": np.zeros((4, 4, 3)).tolist()})
    original = client.post("/inference", data={"file": (io.BytesIO(flat("white")), "a.png")})

    for response in (one, several, numbers):
        assert response.status_code == 200, response.text
        check_answer(DOCUMENT, PATH, response)
    check_answer(DOCUMENT, "/inference", original)


def test_files_of_every_task_are_as_described(client: FlaskClient, task: str) -> None:
    described = DOCUMENT["paths"][PATH]["post"]["responses"]["200"]["content"]
    url = PATH.replace("{name}", task)
    kinds = ANSWERS[task].media_types(flat("white"))

    for kind in kinds[1:]:
        response = client.post(url, data=flat("white"), headers={"Accept": kind})
        assert (response.status_code, response.mimetype) == (200, kind), response.text
        assert described[kind]["schema"]["format"] == "binary"
    assert kinds[0] == JSON


def test_refusals_name_the_task_as_described(client: FlaskClient, task: str) -> None:
    url = PATH.replace("{name}", task)
    refused = client.post(url, data=flat("white"), headers={"Accept": "text/html"})
    check_answer(DOCUMENT, PATH, refused)
    assert refused.status_code == 406
    if task not in SCORE_TASKS:
        for path in ("/models/{name}/explain", "/imageclassifier/predict/"):
            sent: dict[str, Any] = {"image": (io.BytesIO(flat("white")), "a.png")}
            sent |= {"b64": "aGFsbG8="} if "predict" in path else {}
            response = client.post(path.replace("{name}", task), data=sent)
            check_answer(DOCUMENT, path, response)
            assert response.json is not None
            assert task in response.json["detail"]


@pytest.mark.parametrize("path", ["/models", "/models/{name}"])
def test_models_of_every_task_are_as_described(client: FlaskClient, task: str, path: str) -> None:
    response = client.get(path.replace("{name}", task))

    check_answer(DOCUMENT, path, response)
    assert response.json is not None
    model = response.json.get("models", [response.json])[0]
    assert model["task"] == task
