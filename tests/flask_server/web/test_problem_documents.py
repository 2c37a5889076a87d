from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from flask_server.errors import GatewayError
from flask_server.serving.client import BrokenConnection
from flask_server.web.problem_documents import STATUS
from tests.flask_server.conftest import MakeApp

README = Path(__file__).parents[3] / "README.md"


def leaves(cls: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    for child in cls.__subclasses__():
        yield from (
            leaves(child) if child.__subclasses__() and "code" not in vars(child) else [child]
        )


def test_every_leaf_has_a_status() -> None:
    assert set(STATUS) == set(leaves())


def test_codes_are_distinct() -> None:
    codes = [leaf.code for leaf in leaves()]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.code)
def test_readme_names_every_code(leaf: type[GatewayError]) -> None:
    assert f"`{leaf.code}`" in README.read_text(encoding="utf-8")


@pytest.fixture
def failing(make_app: MakeApp) -> Flask:
    app = make_app()

    @app.get("/defect")
    def defect() -> str:
        raise RuntimeError("secret detail")

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
