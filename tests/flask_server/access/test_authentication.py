"""Who is let in, how often, and what a refusal looks like."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_server.access import authentication, key_writer, quotas
from flask_server.access.key_file import KeyFileError
from flask_server.settings import Settings, SettingsError
from tests.flask_server.conftest import MakeApp, b64, draw
from tests.flask_server.stub_serving import StubServing
from tests.waiting import eventually

URL = "/models/toy/predict"
ORIGIN = "http://localhost:4200"
#: The paths of the views that need no key, without a slash at the end.
OPEN = {"", "/hello", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"}

MANUAL = Path(__file__).parents[3] / "docs" / "access.md"

Guarded = Callable[..., Flask]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def key(file: Path) -> str:
    return key_writer.create(file, "web")


@pytest.fixture
def guarded(make_app: MakeApp, file: Path, key: str) -> Guarded:
    return lambda **settings: make_app(api_keys_file=file, **settings)


@pytest.fixture
def client(guarded: Guarded) -> FlaskClient:
    return guarded().test_client()


def ask(client: FlaskClient, key: str | None = None, **options: Any) -> TestResponse:
    headers = {"X-API-Key": key} if key else {}
    return client.post(URL, json={"image": b64(draw())}, headers=headers, **options)


def outcome(response: TestResponse) -> tuple[int, str | None]:
    return response.status_code, (response.json or {}).get("code")


def test_without_a_key_file_nobody_is_asked(make_app: MakeApp) -> None:
    assert ask(make_app().test_client()).status_code == 200


def test_every_route_that_is_not_known_to_be_open_needs_a_key(guarded: Guarded) -> None:
    app = guarded()
    known = authentication.open_paths(app)
    rules = [r for r in app.url_map.iter_rules() if not authentication.is_open(r.rule, known)]
    methods = [(rule.rule, m) for rule in rules for m in (rule.methods or set()) - {"OPTIONS"}]
    assert {"/models", URL.replace("toy", "<name>"), "/imageclassifier/predict/"} <= {
        rule for rule, _ in methods
    }

    for rule, method in methods:
        response = app.test_client().open(re.sub("<.*?>", "toy", rule), method=method)

        assert response.status_code == 401, (rule, method)


@pytest.mark.parametrize(
    "path",
    ["/", "/hello/", "/hello", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"]
    + ["/static/none.js", "/docs/none.js"],
)
def test_open_paths_need_no_key(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code not in {401, 429}


def test_open_views_are_these_and_no_others(guarded: Guarded) -> None:
    assert authentication.open_paths(guarded()) == OPEN


def test_a_view_that_says_nothing_needs_a_key(guarded: Guarded) -> None:
    app = guarded()
    app.add_url_rule("/new", "new", lambda: "secret")

    assert app.test_client().get("/new").status_code == 401


@pytest.mark.parametrize("path", sorted({path or "/" for path in OPEN}))
def test_manual_names_every_open_path(path: str) -> None:
    assert f"`{path}" in MANUAL.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", ["/models/toy/explain", "/imageclassifier/predict", "/static", "/nowhere"]
)
def test_what_is_not_known_to_be_open_is_closed(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("method", ["POST", "HEAD", "GET"])
def test_method_opens_nothing(client: FlaskClient, method: str) -> None:
    assert client.open("/models", method=method).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        {"X-API-Key": "{key}"},
        {"X-API-Key": " {key} "},
        {"Authorization": "Bearer {key}"},
        {"Authorization": "bearer {key}"},
        {"Authorization": "Basic dTpw", "X-API-Key": "{key}"},
        {"Authorization": "Bearer {key}", "X-API-Key": ""},
    ],
)
def test_key_lets_in(client: FlaskClient, key: str, header: dict[str, str]) -> None:
    headers = {name: value.format(key=key) for name, value in header.items()}

    assert client.get("/models", headers=headers).status_code == 200


def test_key_opens_the_original_route(client: FlaskClient, key: str) -> None:
    form = {"b64": b64(draw())}

    shut = client.post("/imageclassifier/predict/", data=form)
    open_ = client.post("/imageclassifier/predict/", data=form, headers={"X-API-Key": key})

    assert (shut.status_code, open_.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "missing_api_key"),
        ({"X-API-Key": " "}, "missing_api_key"),
        ({"Authorization": "Basic dTpw"}, "missing_api_key"),
        ({"Authorization": "Bearer"}, "missing_api_key"),
        ({"Authorization": "nonsense"}, "missing_api_key"),
        ({"Authorization": "Token icg_other-scheme"}, "missing_api_key"),
        ({"X-API-Key": "icg_wrong"}, "invalid_api_key"),
        ({"X-API-Key": "k\xe4se"}, "invalid_api_key"),
        ({"Authorization": "Bearer icg_wrong"}, "invalid_api_key"),
    ],
)
def test_refusal_says_how_to_authenticate(
    client: FlaskClient, header: dict[str, str], code: str
) -> None:
    response = client.get("/models", headers=header | {"Origin": ORIGIN})

    assert outcome(response) == (401, code)
    assert response.content_type == "application/problem+json"
    assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert ('error="invalid_token"' in response.headers["WWW-Authenticate"]) == (
        code == "invalid_api_key"
    )
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_key_in_the_query_is_none(client: FlaskClient, key: str) -> None:
    assert outcome(client.get(f"/models?api_key={key}")) == (401, "missing_api_key")


@pytest.mark.parametrize("path", [URL, "/imageclassifier/predict/", "/models", "/models/toy"])
def test_preflight_passes_before_authentication(client: FlaskClient, path: str) -> None:
    response = client.options(
        path,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key",
        },
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Headers"] == "x-api-key"


def test_refused_picture_reaches_neither_decoder_nor_serving(
    client: FlaskClient, serving: StubServing
) -> None:
    response = client.post(URL, data=b"no picture", content_type="image/png")

    assert outcome(response) == (401, "missing_api_key")
    assert serving.predicts == []


def test_created_and_revoked_keys_count_without_a_restart(
    client: FlaskClient, file: Path, key: str
) -> None:
    statuses = [ask(client, key).status_code]
    phone = key_writer.create(file, "phone")
    key_writer.revoke(file, "web")

    def is_revoked() -> bool:
        statuses.append(ask(client, key).status_code)
        return statuses[-1] != 200

    assert eventually(is_revoked)
    assert (statuses[0], statuses[-1]) == (200, 401)
    assert ask(client, phone).status_code == 200


def test_limit_is_inclusive_and_says_when_to_come_back(guarded: Guarded, key: str) -> None:
    client = guarded(rate_limit="3 per minute").test_client()

    allowed = [ask(client, key).status_code for _ in range(3)]
    refused = client.get("/models", headers={"X-API-Key": key, "Origin": ORIGIN})

    assert allowed == [200, 200, 200]
    assert outcome(refused) == (429, "rate_limited")
    assert refused.content_type == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json is not None
    assert "'web' is limited to 3 per 1 minute" in refused.json["detail"]
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]


def test_caller_who_waits_as_told_is_let_in(guarded: Guarded, key: str) -> None:
    client = guarded(rate_limit="1 per second").test_client()
    answers = (ask(client, key) for _ in range(100))
    refused = next(answer for answer in answers if answer.status_code != 200)

    time.sleep(int(refused.headers["Retry-After"]))

    assert refused.status_code == 429
    assert ask(client, key).status_code == 200


def test_each_key_has_a_quota_of_its_own(guarded: Guarded, file: Path, key: str) -> None:
    other = key_writer.create(file, "phone")
    client = guarded(rate_limit="1 per minute").test_client()

    statuses = [ask(client, each).status_code for each in (key, other, key, other)]

    assert statuses == [200, 200, 429, 429]


def test_limit_of_a_key_overrules_the_default(guarded: Guarded, file: Path) -> None:
    small = key_writer.create(file, "s", "1 per minute")
    big = key_writer.create(file, "b", "3 per minute")
    client = guarded(rate_limit="2 per minute").test_client()

    assert [ask(client, small).status_code for _ in range(2)] == [200, 429]
    assert [ask(client, big).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_key_may_have_several_limits(guarded: Guarded, file: Path) -> None:
    key = key_writer.create(file, "both", "5 per second; 2 per day")
    client = guarded().test_client()

    statuses = [ask(client, key) for _ in range(3)]

    assert [response.status_code for response in statuses] == [200, 200, 429]
    assert int(statuses[-1].headers["Retry-After"]) > 3600


def test_answers_say_what_is_left_of_each_quota(guarded: Guarded, file: Path) -> None:
    key = key_writer.create(file, "both", "100 per day; 2 per minute")
    client = guarded().test_client()

    first, second, refused = (ask(client, key) for _ in range(3))

    for response in (first, second, refused):
        assert response.headers["RateLimit-Policy"] == '"minute";q=2;w=60, "day";q=100;w=86400'
    assert re.fullmatch(r'"minute";r=1;t=\d+, "day";r=99;t=\d+', first.headers["RateLimit"])
    assert re.fullmatch(r'"minute";r=0;t=\d+, "day";r=98;t=\d+', second.headers["RateLimit"])
    assert refused.status_code == 429
    left = re.fullmatch(r'"minute";r=0;t=(\d+)', refused.headers["RateLimit"])
    assert left
    assert abs(int(left[1]) - int(refused.headers["Retry-After"])) <= 1


def test_errors_and_unchanged_answers_say_what_is_left(guarded: Guarded, key: str) -> None:
    client = guarded().test_client()
    tag = client.get("/models", headers={"X-API-Key": key}).headers["ETag"]

    wrong = client.get("/models/none", headers={"X-API-Key": key})
    unchanged = client.get("/models", headers={"X-API-Key": key, "If-None-Match": tag})

    assert (wrong.status_code, unchanged.status_code) == (404, 304)
    assert [each.headers["RateLimit"].split(";")[1] for each in (wrong, unchanged)] == [
        "r=598",
        "r=597",
    ]


def test_the_order_of_hooks_changes_no_header(guarded: Guarded, key: str) -> None:
    usual, changed = (guarded(rate_limit="3 per minute") for _ in range(2))
    hooks = changed.after_request_funcs[None]
    (ours,) = (hook for hook in hooks if hook.__module__ == quotas.__name__)
    assert hooks[-1] is not ours
    hooks.remove(ours)
    hooks.append(ours)  # Flask calls them from the last to the first

    found, expected = (headers_of_answers(app, key) for app in (changed, usual))

    assert found == expected
    assert [status for status, _ in found] == [200, 304, 404, 429]
    assert all("RateLimit" in headers for _, headers in found)


def headers_of_answers(app: Flask, key: str) -> list[tuple[int, dict[str, str]]]:
    """Status and headers of a success, an unchanged answer, an error and a refusal."""
    client = app.test_client()
    headers = {"X-API-Key": key, "Origin": ORIGIN}
    first = client.get("/models", headers=headers)
    unchanged = client.get("/models", headers=headers | {"If-None-Match": first.headers["ETag"]})
    others = [client.get(path, headers=headers) for path in ("/models/none", "/models")]
    return [
        (each.status_code, {name: steady(name, value) for name, value in each.headers})
        for each in (first, unchanged, *others)
    ]


def steady(name: str, value: str) -> str:
    """The value of a header without what differs from request to request."""
    if name in {"X-Request-ID", "Server-Timing", "Retry-After", "Content-Length"}:
        return ""
    return re.sub(r"t=\d+", "t=…", value)


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/models"])
def test_requests_that_are_not_counted_have_no_quota(
    guarded: Guarded, make_app: MakeApp, key: str, path: str
) -> None:
    headers = {"X-API-Key": "icg_wrong" if path == "/models" else key}

    for app in (guarded(), make_app()):
        response = app.test_client().get(path, headers=headers)

        assert not [name for name, _ in response.headers if name.startswith("RateLimit")]


def test_limit_is_checked_before_the_body(guarded: Guarded, key: str, serving: StubServing) -> None:
    client = guarded(rate_limit="1 per minute").test_client()
    client.get("/models", headers={"X-API-Key": key})

    response = client.post(
        URL, data=b"no picture", content_type="image/png", headers={"X-API-Key": key}
    )

    assert outcome(response) == (429, "rate_limited")
    assert serving.predicts == []


def test_what_needs_no_key_counts_for_none(guarded: Guarded, key: str) -> None:
    client = guarded(rate_limit="1 per minute").test_client()
    for _ in range(3):
        client.get("/healthz", headers={"X-API-Key": key})
        client.options(URL, headers={"X-API-Key": key, "Origin": ORIGIN})
        client.get("/models", headers={"X-API-Key": "icg_wrong"})
        client.get("/nowhere", headers={"X-API-Key": key})

    assert ask(client, key).status_code == 200


def test_no_log_and_no_answer_has_a_key(
    guarded: Guarded, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client = guarded(rate_limit="1 per minute").test_client()
        said = [ask(client, each).text for each in (key, key, key + "x", "icg_guess")]

    assert "icg_" not in caplog.text + "".join(said)


def test_unusable_key_file_stops_the_start(make_app: MakeApp, file: Path) -> None:
    file.write_text("half")

    with pytest.raises(KeyFileError, match="keys.json cannot be used"):
        make_app(api_keys_file=file)


def test_check_finds_what_would_stop_the_start(file: Path, key: str) -> None:
    authentication.check(Settings())
    authentication.check(Settings(api_keys_file=file))
    authentication.check(Settings(api_keys_file=file, limits_url="redis://127.0.0.1:1/0"))

    with pytest.raises(KeyFileError, match="no API key file"):
        authentication.check(Settings(api_keys_file=file.with_name("other.json")))


def test_operator_learns_that_limits_in_memory_hold_per_worker(file: Path) -> None:
    here, shared = (
        Settings(api_keys_file=file),
        Settings(api_keys_file=file, limits_url="redis://x"),
    )

    assert "with 2 workers" in str(authentication.per_worker_warning(here, 2))
    assert authentication.per_worker_warning(here, 1) is None
    assert authentication.per_worker_warning(shared, 2) is None
    assert authentication.per_worker_warning(Settings(), 2) is None


@pytest.mark.parametrize("url", ["redis://:pass@host:port/0", "redis://:pass@host:99999"])
def test_bad_address_of_redis_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(
        SettingsError, match=r"allowed is memory:// or an address like redis:"
    ) as caught:
        quotas.check(url)

    assert "pass" not in str(caught.value)


def test_redis_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(SettingsError, match=r"-m pip install .*\[redis\]'$"):
        quotas.check("redis://127.0.0.1:6379/0")


def test_what_a_key_may_see_is_kept_by_its_owner_alone(client: FlaskClient, key: str) -> None:
    models = client.get("/models", headers={"X-API-Key": key})

    assert models.headers["Cache-Control"] == "private, no-cache"
    assert {"X-API-Key", "Authorization"} <= set(models.vary)
    assert client.get("/openapi.json").headers["Cache-Control"] == "no-cache"
