from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.flask_server.conftest import MakeApp, b64, draw

URL = "/models/toy/predict"
ORIGIN = "http://localhost:4200"
EXPOSED = {
    "X-Request-ID",
    "Server-Timing",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Model-Warning",
    "X-Model-Version",
    "X-Model-Version-Label",
    "ETag",
}


@pytest.mark.parametrize("path", [URL, "/imageclassifier/predict/", "/models"])
@pytest.mark.parametrize("header", ["Content-Type", "Authorization", "X-API-Key"])
def test_preflight_allows_what_a_page_sends(client: FlaskClient, path: str, header: str) -> None:
    response = client.options(
        path,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": header,
        },
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert header.lower() in response.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_every_answer_exposes_the_headers_a_page_reads(client: FlaskClient) -> None:
    good = client.post(URL, json={"image": b64(draw())}, headers={"Origin": ORIGIN})
    bad = client.post(URL, json={"image": "!"}, headers={"Origin": ORIGIN})

    for response in (good, bad):
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert set(response.headers["Access-Control-Expose-Headers"].split(", ")) == EXPOSED
        assert response.headers["Timing-Allow-Origin"] == "*"


def test_a_page_that_asks_for_what_is_not_there_may_see_the_404(client: FlaskClient) -> None:
    asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}

    preflight = client.options("/nowhere", headers=asking)
    answer = client.post("/nowhere", headers={"Origin": ORIGIN})

    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert client.options("/nowhere").status_code == 404


def test_an_origin_is_no_pattern(make_app: MakeApp) -> None:
    origins = ("https://a.example", "http://[::1]:4200")
    client = make_app(cors_origins=origins).test_client()

    def allowed(origin: str) -> str | None:
        return client.get("/models", headers={"Origin": origin}).headers.get(
            "Access-Control-Allow-Origin"
        )

    assert [allowed(origin) for origin in origins] == list(origins)
    for other in ("https://axexample", "http://:4200", "http://1:4200", "http://[::1]:42000"):
        assert allowed(other) is None


def test_only_configured_origins_are_allowed(make_app: MakeApp) -> None:
    client = make_app(cors_origins=("https://a.example", ORIGIN)).test_client()

    friend = client.get("/models", headers={"Origin": ORIGIN})
    stranger = client.get("/models", headers={"Origin": "https://evil.example"})

    assert friend.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Timing-Allow-Origin" not in stranger.headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN},
        {"Origin": "null", "Access-Control-Request-Method": "POST"},
        {"Origin": ORIGIN, "Access-Control-Request-Private-Network": "true"},
    ],
)
def test_any_origin_gets_the_headers_of_flask_cors(
    make_app: MakeApp, method: str, headers: dict[str, str]
) -> None:
    ours, flask_cors = make_app(), make_app()
    hooks = flask_cors.after_request_funcs[None]
    hooks.pop([hook.__name__ for hook in hooks].index("_allow_any_origin"))

    found, expected = (
        [
            pair
            for path in ("/models", "/nowhere", "/")
            for pair in app.test_client().open(path, method=method, headers=headers).headers
            if pair[0].startswith("Access-Control") or pair[0] == "Vary"
        ]
        for app in (ours, flask_cors)
    )

    assert found == expected
    assert found
