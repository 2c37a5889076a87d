from __future__ import annotations

import gc
from types import FrameType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_server.errors import (
    GatewayError,
    RateLimited,
    ServingUnavailable,
    copied,
    kinds,
)
from flask_server.serving.upstream import BrokenConnection
from flask_server.views.predict import predict
from tests.flask_server.conftest import MakeApp, draw


def test_every_error_with_a_code_says_all_that_is_public_about_it() -> None:
    for kind in kinds():
        assert kind.__module__ == "flask_server.errors"
        assert {"code", "status", "when"} <= vars(kind).keys()
        assert kind.when.endswith(".")
        assert 400 <= kind.status < 600


def test_every_error_that_is_raised_has_a_code() -> None:
    branches = set(GatewayError.__subclasses__())

    assert all(hasattr(child, "code") for branch in branches for child in branch.__subclasses__())


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in kinds()]

    assert len(codes) == len(set(codes))


def test_a_copy_of_an_error_is_the_same_to_its_caller() -> None:
    error = ServingUnavailable("Away.", address="http://far:1")

    copy, limited = copied(error), copied(RateLimited("Too many.", 7))

    assert (type(copy), copy.for_log) == (ServingUnavailable, "Away. [http://far:1]")
    assert (str(limited), limited.retry_after_s) == ("Too many.", 7)


@pytest.mark.parametrize(
    "sent", [{"data": draw()[:40]}, {"json": {"image": "!"}}, {"data": {"image": "!"}}]
)
def test_the_frames_of_a_request_do_not_outlive_it(
    sent: dict[str, Any], client: FlaskClient
) -> None:
    """They have the image, which may be as large as a body."""
    client.post("/models/toy/predict", **sent)
    gc.collect()
    gc.disable()
    try:
        response = client.post("/models/toy/predict", **sent)
        frames = [each for each in gc.get_objects() if isinstance(each, FrameType)]
    finally:
        gc.enable()

    assert response.status_code in {400, 422}
    assert not [frame for frame in frames if frame.f_code is predict.__code__]


@pytest.fixture
def failing(make_app: MakeApp) -> Flask:
    app = make_app()

    @app.get("/defect")
    def defect() -> str:
        raise RuntimeError("secret detail")

    @app.get("/full")
    def full() -> str:
        return str(bytearray(2**60))

    @app.get("/broken")
    def broken() -> str:
        raise BrokenConnection("The connection broke.")

    return app


def test_defect_answers_500_without_its_story(failing: Flask) -> None:
    response = failing.test_client().get("/defect", headers={"X-Request-ID": "abc-1"})

    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == "internal_error"
    assert response.json["request_id"] == response.headers["X-Request-ID"] == "abc-1"
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def test_a_request_without_memory_may_come_again(failing: Flask) -> None:
    response = failing.test_client().get("/full")

    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == "overloaded"
    assert response.headers["Retry-After"] == "1"


def test_child_of_a_leaf_answers_like_it(failing: Flask) -> None:
    response = failing.test_client().get("/broken")

    assert response.status_code == 503
    assert response.json is not None
    assert response.json["code"] == "serving_unavailable"
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/no/such/page", 404, "not_found"),
        ("GET", "/imageclassifier/predict/", 405, "method_not_allowed"),
        ("DELETE", "/models", 405, "method_not_allowed"),
    ],
)
def test_what_flask_refuses_is_a_problem_too(
    failing: Flask, method: str, path: str, status: int, code: str
) -> None:
    response = failing.test_client().open(path, method=method, headers={"Origin": "http://a.b"})

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["code"] == code
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert ("Allow" in response.headers) == (status == 405)


def test_unreadable_request_id_is_replaced(failing: Flask) -> None:
    response = failing.test_client().get("/healthz", headers={"X-Request-ID": "a b\tc"})

    assert response.headers["X-Request-ID"].isalnum()
