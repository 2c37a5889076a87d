from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.flask_server.conftest import MakeApp, b64, draw


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    app = make_app()
    app.add_url_rule("/page", "page", lambda: "<!doctype html><title>page</title>")
    return app


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("GET", "/healthz"),
        ("GET", "/no/such/page"),
        ("DELETE", "/models"),
        ("POST", "/models/toy/predict"),
    ],
)
def test_answer_of_the_api_is_for_programs_only(
    client: FlaskClient, method: str, path: str
) -> None:
    headers = client.open(path, method=method).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_prediction_may_be_read_by_other_origins(client: FlaskClient) -> None:
    response = client.post("/models/toy/predict", json={"image": b64(draw())})

    assert response.status_code == 200
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_page_loads_nothing_from_elsewhere(app: Flask) -> None:
    headers = app.test_client().get("/page").headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_view_may_set_its_own_policy(app: Flask) -> None:
    own = {"Content-Security-Policy": "sandbox"}
    app.add_url_rule("/own", "own", lambda: ("text", own))

    assert app.test_client().get("/own").headers["Content-Security-Policy"] == "sandbox"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/hello", "/hello/"),
        ("/imageclassifier/predict?a=//b", "/imageclassifier/predict/?a=//b"),
        ("//models//toy/predict", "/models/toy/predict"),
    ],
)
def test_a_redirect_names_no_host(client: FlaskClient, path: str, location: str) -> None:
    environ = {"PATH_INFO": path.partition("?")[0], "HTTP_HOST": "evil.example"}

    response = client.post(path, environ_overrides=environ)

    assert response.status_code == 308
    assert response.headers["Location"] == location
    assert "evil" not in response.text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_their_files_from_beside_them(client: FlaskClient, path: str) -> None:
    headers = {"Host": "evil.example"}
    environ = {"SCRIPT_NAME": "//evil.example"}

    response = client.get(path, headers=headers, environ_overrides=environ)

    assert "static/base.css" in response.text
    assert "evil" not in response.text
