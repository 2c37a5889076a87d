"""Each error code has a section with the message that the gateway sends, and with a fix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gunicorn.http.errors import InvalidRequestLine

from docs.generator.markdown import DOCS
from flask_server.access import key_writer
from flask_server.errors import kinds
from flask_server.runtime import bad_request_page, preload
from flask_server.settings import Settings
from flask_server.web.services import services_of
from tests.flask_server.conftest import MakeApp, b64, draw
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.running import free_port
from tests.waiting import eventually

PAGE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
URL = "/models/digits/predict"
IMAGE = {"image": b64(draw())}
MODELS = '[models.digits]\nbase_path = "digits"\n'

#: Requests of one picture or none to a gateway with default settings, by the code of their error.
REQUESTS: dict[str, dict[str, Any]] = {
    "invalid_json": {"json": [1]},
    "missing_image": {"data": b"", "content_type": "image/png"},
    "invalid_base64": {"json": {"image": "data:image/jpeg,abc"}},
    "invalid_parameter": {"json": IMAGE | {"top_k": 0}},
    "invalid_tensor": {"json": {"tensor": "abc"}},
    "unknown_version": {"json": IMAGE | {"version": 7}},
    "not_acceptable": {"json": IMAGE, "headers": {"Accept": "text/html"}},
    "body_too_large": {"data": b"x" * 100, "content_type": "image/png"},
    "too_many_images": {"json": {"images": [IMAGE["image"]] * 33}},
    "image_too_large": {"data": draw(size=(110, 100)), "content_type": "image/png"},
    "unsupported_media_type": {"data": b"x", "content_type": "text/plain"},
    "unsupported_image": {"data": b"no picture", "content_type": "image/png"},
    "corrupt_image": {"data": draw(size=(50, 50))[:-2000], "content_type": "image/png"},
}
#: Settings that make some of these requests too large.
SETTINGS = {"body_too_large": {"max_body_bytes": 10}, "image_too_large": {"max_pixels": 10_000}}
#: Answers of Serving, by the code that they become.
ANSWERS: dict[str, dict[str, Any]] = {
    "serving_error": {"answer": (500, {"error": "no"})},
    "serving_timeout": {"delay_s": 60.0},
}


def sections() -> dict[str, str]:
    """The text below each heading that is an error code."""
    found = re.split(r"^### `(\w+)`$", PAGE, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def message_of(code: str) -> str:
    """The message in a section, with 0 for each number."""
    found = re.search(r"^> (.*)$", sections()[code], re.MULTILINE)
    assert found, f"the section of {code} has no message"
    return numberless(found[1])


def numberless(text: str) -> str:
    return re.sub(r"\d[\d,.]*\d|\d", "0", text)


def detail(client: FlaskClient, url: str = URL, **request: Any) -> tuple[str, str]:
    problem = json.loads(client.post(url, **request).data)
    return problem["code"], numberless(problem["detail"])


@pytest.fixture
def serving() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        stub.models = {"digits": {1: Servable()}}
        yield stub


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(MODELS)


def test_each_common_problem_has_a_message_and_a_fix() -> None:
    """There are fifteen that users of model servers have most often."""
    common = PAGE[PAGE.index("## Common problems") : PAGE.index("## Error codes")]
    problems = re.split(r"^### ", common, flags=re.MULTILINE)[1:]

    assert len(problems) >= 15
    assert [text for text in problems if not re.search(r"^> ", text, re.MULTILINE)] == []
    assert [text for text in problems if "**Fix:** " not in text] == []


def test_each_code_has_a_section() -> None:
    assert list(sections()) == [kind.code for kind in kinds()]


@pytest.mark.parametrize("code", [kind.code for kind in kinds()])
def test_each_section_has_a_message_and_a_fix(code: str) -> None:
    assert message_of(code)
    assert "**Fix:** " in sections()[code]


@pytest.mark.parametrize("code", REQUESTS)
def test_the_message_is_that_of_the_gateway(make_app: MakeApp, code: str) -> None:
    client = make_app(MODELS, **SETTINGS.get(code, {})).test_client()

    assert detail(client, **REQUESTS[code]) == (code, message_of(code))


@pytest.mark.parametrize("code", ANSWERS)
def test_the_message_about_an_answer_of_serving_is_that_of_the_gateway(
    make_app: MakeApp, serving: StubServing, code: str
) -> None:
    deadline_s = 0.3 if code == "serving_timeout" else 60.0
    client = make_app(MODELS, deadline_s=deadline_s).test_client()
    # Beside other load, some requests miss the short deadline.
    assert eventually(lambda: client.post(URL, json=IMAGE).status_code == 200)
    for name, value in ANSWERS[code].items():
        setattr(serving, name, value)

    assert detail(client, json=IMAGE) == (code, message_of(code))


@pytest.mark.parametrize(
    ("code", "method", "url"),
    [
        ("not_found", "POST", "/predict"),
        ("method_not_allowed", "PUT", URL),
        ("unknown_model", "POST", "/models/digit/predict"),
    ],
)
def test_the_message_about_a_path_is_that_of_the_gateway(
    app: Flask, code: str, method: str, url: str
) -> None:
    problem = json.loads(app.test_client().open(url, method=method, json=IMAGE).data)

    assert (problem["code"], numberless(problem["detail"])) == (code, message_of(code))


def test_the_messages_about_keys_are_those_of_the_gateway(
    make_app: MakeApp, tmp_path: Path
) -> None:
    key = key_writer.create(tmp_path / "keys.json", "web", "1 per minute")
    client = make_app(MODELS, api_keys_file=tmp_path / "keys.json").test_client()

    without = detail(client, json=IMAGE)
    unknown = detail(client, json=IMAGE, headers={"X-API-Key": "x"})
    assert without == ("missing_api_key", message_of("missing_api_key"))
    assert unknown == ("invalid_api_key", message_of("invalid_api_key"))
    assert client.post(URL, json=IMAGE, headers={"X-API-Key": key}).status_code == 200
    refused = detail(client, json=IMAGE, headers={"X-API-Key": key})
    assert refused == ("rate_limited", message_of("rate_limited"))


def test_the_message_of_a_full_gateway_is_that_of_the_gateway(make_app: MakeApp) -> None:
    app = make_app(MODELS, max_in_flight=1)
    services_of(app).predictions.enter()

    assert detail(app.test_client(), json=IMAGE) == ("overloaded", message_of("overloaded"))


def test_the_message_of_a_missing_version_is_that_of_the_gateway(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models = {}

    got = detail(make_app(MODELS).test_client(), json=IMAGE)

    assert got == ("model_not_ready", message_of("model_not_ready"))


def test_the_message_about_a_task_is_that_of_the_gateway(
    make_app: MakeApp, serving: StubServing
) -> None:
    spec = make_spec(task="embedding", labels=(), activation="raw")
    serving.models = {"digits": {1: Servable(spec=spec)}}

    got = detail(make_app(MODELS).test_client(), "/models/digits/explain", json=IMAGE)

    assert got == ("unsupported_task", message_of("unsupported_task"))


def test_the_message_of_an_absent_serving_is_that_of_the_gateway(make_app: MakeApp) -> None:
    app = make_app(MODELS, serving_url=f"http://127.0.0.1:{free_port()}")

    got = detail(app.test_client(), json=IMAGE)

    assert got == ("serving_unavailable", message_of("serving_unavailable"))


def test_the_message_of_an_unreadable_key_file_is_that_of_the_gateway(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker starts without keys where its parent process has loaded its configuration before."""
    monkeypatch.setattr(preload, "_models_file", None)  # restores it after the test
    (tmp_path / "models.toml").write_text(MODELS)
    preload.start(Settings(models_file=tmp_path / "models.toml"))
    (tmp_path / "keys.json").write_text("half")
    client = make_app(MODELS, api_keys_file=tmp_path / "keys.json").test_client()

    got = detail(client, json=IMAGE, headers={"X-API-Key": "x"})

    assert got == ("keys_unavailable", message_of("keys_unavailable"))


def test_the_message_of_a_defect_is_that_of_the_gateway(app: Flask) -> None:
    @app.post("/defect")
    def defect() -> str:
        raise RuntimeError("secret detail")

    request_id = sections()["internal_error"].partition("request id ")[2].partition(".")[0]

    got = detail(app.test_client(), "/defect", headers={"X-Request-ID": request_id})

    assert got == ("internal_error", message_of("internal_error"))


def test_the_message_about_wrong_http_is_that_of_the_gateway() -> None:
    page = bad_request_page.response(InvalidRequestLine("secret"), "id", None)

    problem = json.loads(page.partition(b"\r\n\r\n")[2])

    assert (problem["code"], problem["detail"]) == ("bad_request", message_of("bad_request"))


def test_a_test_of_this_module_provokes_each_code() -> None:
    tested = {*REQUESTS, *ANSWERS, "not_found", "method_not_allowed", "unknown_model"}
    tested |= {"missing_api_key", "invalid_api_key", "rate_limited", "overloaded"}
    tested |= {"unsupported_task", "model_not_ready", "serving_unavailable"}
    tested |= {"keys_unavailable", "internal_error", "bad_request"}

    assert tested == {kind.code for kind in kinds()}
