"""Log lines: their form, what may not break it, and what may not be in them."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_server.access import key_writer
from flask_server.access.key_file import ID_DIGITS, hash_of
from flask_server.telemetry import access_log, logs
from flask_server.telemetry.logs import JsonFormatter, TextFormatter
from tests.flask_server.conftest import MakeApp, b64, draw
from tests.flask_server.gunicorn_process import stopping, wait_until_open
from tests.flask_server.stub_serving import StubServing
from tests.running import free_port

ROOT = Path(__file__).parents[3]
URL = "/models/toy/predict"
FORGED = 'one\ntwo {"level": "INFO"}\r\x1b[31mred\x00\u2028end'


@contextmanager
def lines(formatter: logging.Formatter, level: int = logging.INFO) -> Iterator[io.StringIO]:
    """What the gateway logs meanwhile, as ``formatter`` writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger(logs.LOGGER_NAME)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield stream
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def access_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in read if line["logger"] == access_log.log.name]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def test_json_line_says_when_where_and_what() -> None:
    with lines(JsonFormatter()) as stream:
        logging.getLogger("flask_server.serving.model_watch").warning("model %s is away", "toy")

    line = json.loads(stream.getvalue())
    assert list(line) == ["time", "level", "logger", "message"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"]) == ("WARNING", "flask_server.serving.model_watch")
    assert line["message"] == "model toy is away"


def test_line_within_a_request_has_its_id(app: Flask) -> None:
    @app.get("/logging")
    def log_something() -> str:
        logging.getLogger("flask_server.serving.model_watch").warning("here")
        return ""

    with lines(JsonFormatter(), logging.WARNING) as stream:
        app.test_client().get("/logging", headers={"X-Request-ID": "abc-1"})

    assert json.loads(stream.getvalue())["request_id"] == "abc-1"


def test_defect_is_one_line_with_its_traceback(app: Flask) -> None:
    @app.get("/defect")
    def defect() -> str:
        raise RuntimeError(FORGED)

    with lines(JsonFormatter(), logging.ERROR) as stream:
        app.test_client().get("/defect")

    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["level"] == "ERROR"
    assert "RuntimeError" in line["exception"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_nobody_forges_a_line(formatter: logging.Formatter) -> None:
    with lines(formatter) as stream:
        logging.getLogger(logs.LOGGER_NAME).info("%s", FORGED, extra={"fields": {"client": FORGED}})

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_traceback_in_text_is_indented_below_its_line() -> None:
    with lines(TextFormatter()) as stream:
        try:
            raise RuntimeError(FORGED)
        except RuntimeError:
            logging.getLogger(logs.LOGGER_NAME).exception("it broke")

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR   flask_server: it broke")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)


def test_access_line_says_what_was_asked_and_answered(app: Flask) -> None:
    body = json.dumps({"image": b64(draw())})

    with lines(JsonFormatter()) as stream:
        response = app.test_client().post(
            f"{URL}?top_k=1",
            data=body,
            content_type="application/json",
            headers={"X-Request-ID": "abc-1"},
        )

    (line,) = access_lines(stream)
    assert line.pop("ms") > 0
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "flask_server.telemetry.access_log",
        "message": "POST /models/<name>/predict 200",
        "request_id": "abc-1",
        "method": "POST",
        "route": "/models/<name>/predict",
        "status": 200,
        "bytes_in": len(body),
        "bytes_out": len(response.data),
        "model": "toy",
        "version": 1,
        "client": "127.0.0.1",
    }


def test_access_line_of_an_explanation_has_the_version_too(app: Flask) -> None:
    with lines(JsonFormatter()) as stream:
        app.test_client().post("/models/toy/explain", json={"image": b64(draw())})

    (line,) = access_lines(stream)
    assert (line["status"], line["version"]) == (200, 1)


def test_access_line_in_text(app: Flask) -> None:
    with lines(TextFormatter()) as stream:
        app.test_client().get("/models", headers={"X-Request-ID": "abc-1"})

    line = stream.getvalue().splitlines()[-1]
    assert " INFO    flask_server.telemetry.access_log: [abc-1] GET /models 200 ms=" in line
    assert line.endswith("client=127.0.0.1")


@pytest.mark.parametrize(
    ("method", "path", "route", "status", "code"),
    [
        ("GET", "/no/such/page", "(unmatched)", 404, "not_found"),
        ("DELETE", "/models", "(unmatched)", 405, "method_not_allowed"),
        ("GET", "/models/none", "/models/<name>", 404, "unknown_model"),
        ("POST", "/imageclassifier/predict/", "/imageclassifier/predict/", 400, "missing_image"),
    ],
)
def test_refused_request_has_its_line_too(
    app: Flask, method: str, path: str, route: str, status: int, code: str
) -> None:
    with lines(JsonFormatter()) as stream:
        app.test_client().open(path, method=method)

    (line,) = access_lines(stream)
    assert (line["route"], line["status"], line["code"]) == (route, status, code)


def test_request_that_breaks_the_framework_has_its_line(app: Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/defect", "defect", lambda: str(1 // 0))

    with lines(JsonFormatter()) as stream, pytest.raises(ZeroDivisionError):
        app.test_client().get("/defect")

    (line,) = access_lines(stream)
    assert (line["status"], line["code"]) == (500, "internal_error")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_checks_are_for_debugging(app: Flask, path: str) -> None:
    with lines(JsonFormatter()) as quiet:
        app.test_client().get(path)
    with lines(JsonFormatter(), logging.DEBUG) as loud:
        app.test_client().get(path)

    assert access_lines(quiet) == []
    assert [line["level"] for line in access_lines(loud)] == ["DEBUG"]


def test_no_secret_and_no_picture_is_logged(app: Flask) -> None:
    client = app.test_client()
    headers = {"Authorization": "Bearer s3cret", "X-API-Key": "s3cret", "Cookie": "s3cret"}

    with lines(JsonFormatter(), logging.DEBUG) as stream:
        client.post(URL, json={"image": b64(draw()), "label": "s3cret"}, headers=headers)
        client.post(URL, data=b"s3cret", content_type="application/json", headers=headers)
        client.post(f"{URL}?s3cret=s3cret", data=draw(), headers=headers)
        client.get("/s3cret?s3cret=1", headers=headers | {"X-Request-ID": "s3cret\t"})

    assert len(access_lines(stream)) == 4
    assert "s3cret" not in stream.getvalue()


def test_access_line_names_the_key_by_its_id(make_app: MakeApp, tmp_path: Path) -> None:
    key = key_writer.create(tmp_path / "keys.json", "web")
    client = make_app(api_keys_file=tmp_path / "keys.json").test_client()

    with lines(JsonFormatter(), logging.DEBUG) as stream:
        client.get("/models", headers={"X-API-Key": key})
        client.get("/models", headers={"X-API-Key": "wrong"})

    known, unknown = access_lines(stream)
    assert known["api_key"] == hash_of(key)[:ID_DIGITS]
    assert (unknown["status"], "api_key" in unknown) == (401, False)
    assert key not in stream.getvalue()


def test_hosts_own_logging_is_left_alone(make_app: MakeApp) -> None:
    before = logging.getLogger().handlers[:]

    make_app()

    assert before
    assert logging.getLogger().handlers == before


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_development_server_logs_in_our_format(tmp_path: Path, log_format: str) -> None:
    (tmp_path / "models.toml").write_text('[models.toy]\nbase_path = "toy"\n')
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "flask_server.app", "run", "-p", str(port)]
    with StubServing().running() as stub:
        environ = {
            "GATEWAY_MODELS_FILE": str(tmp_path / "models.toml"),
            "GATEWAY_SERVING_URL": stub.url,
            "GATEWAY_LOG_FORMAT": log_format,
        }
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environ,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        with process, stopping(process):
            wait_until_open(f"http://127.0.0.1:{port}", process)
            urllib.request.urlopen(f"http://127.0.0.1:{port}/models", timeout=60).close()
            process.send_signal(signal.SIGTERM)
            written = process.communicate(timeout=60)[1].decode().splitlines()

    assert sum("GET /models 200" in line for line in written) == 1
    assert any("model toy: version 1 is live" in line for line in written)
    assert not any(" - - [" in line for line in written)
    assert all(line.startswith("{" if log_format == "json" else "20") for line in written)
