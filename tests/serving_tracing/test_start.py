"""When tracing is on, what the SDK is configured with, and what happens where it is missing."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec

import pytest

from model_catalog import installation
from serving_tracing import sdk, spans, start, variables
from tests.flask_server.conftest import MakeApp, draw
from tests.running import ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    start.stop()


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, None),
        ({ENDPOINT: "http://h:4318"}, ENDPOINT),
        ({TRACES_ENDPOINT: "http://h:4318/v1/traces"}, TRACES_ENDPOINT),
        ({ENDPOINT: " "}, None),
        ({variables.EXPORTER: "console"}, variables.EXPORTER),
        ({variables.EXPORTER: "otlp"}, variables.EXPORTER),
        ({variables.EXPORTER: "none", ENDPOINT: "http://h:4318"}, None),
        ({variables.EXPORTER: "", ENDPOINT: "http://h:4318"}, ENDPOINT),
        ({variables.DISABLED: "True", ENDPOINT: "http://h:4318"}, None),
        ({variables.DISABLED: "false", ENDPOINT: "http://h:4318"}, ENDPOINT),
    ],
)
def test_the_environment_decides(environ: dict[str, str], variable: str | None) -> None:
    assert variables.asking_variable(environ) == variable


def test_nothing_of_opentelemetry_is_imported_while_tracing_is_off() -> None:
    program = (
        "import sys, flask_server.app, flask_server.serving.grpc_client, model_server.__main__\n"
        "from serving_tracing import start\n"
        "start.start('x', {})\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, check=True, timeout=60)


def test_a_program_that_ends_sends_its_last_spans() -> None:
    program = (
        "from serving_tracing import spans, start\n"
        "start.start('mine', {'OTEL_TRACES_EXPORTER': 'console'})\n"
        "spans.active().server_span('last one', {}, {}).end({}, None)\n"
    )
    command = [sys.executable, "-c", program]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert '"name": "last one"' in ended.stdout
    assert '"service.name": "mine"' in ended.stdout


def without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def missing(name: str) -> ModuleSpec | None:
        return None if name.startswith("opentelemetry") else find(name)

    monkeypatch.setattr(installation, "find_spec", missing)


def test_a_missing_package_is_one_warning_and_the_gateway_answers(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_the_sdk(monkeypatch)
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")

    client = make_app().test_client()

    assert client.post("/models/toy/predict", data=draw()).status_code == 200
    (warning,) = [record for record in caplog.records if record.name == start.__name__]
    assert warning.levelno == logging.WARNING
    assert warning.getMessage().startswith(
        f"{ENDPOINT} is set, but opentelemetry-sdk is not installed, so no traces are sent; run "
    )
    assert spans.active() is None


@pytest.mark.parametrize(
    ("environ", "is_missing"),
    [
        ({variables.EXPORTER: "console"}, False),
        ({variables.EXPORTER: "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        ({variables.EXPORTER: "console, OTLP"}, True),
        ({ENDPOINT: "http://h:4318"}, True),
    ],
)
def test_the_exporter_package_is_needed_for_otlp_over_http_only(
    environ: dict[str, str], is_missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "is_installed", lambda module: module == "opentelemetry.sdk")

    missing = start.missing_package(environ)

    assert ("exporter-otlp-proto-http is not installed" in (missing or "")) is is_missing


def test_a_wrong_exporter_leaves_no_thread_of_another_one() -> None:
    before = set(threading.enumerate())

    with pytest.raises(ValueError, match="no package with the exporter zipkon"):
        sdk.provider("mine", {variables.EXPORTER: "console,zipkon"})

    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({variables.EXPORTER: "zipkon"}, "there is no package with the exporter zipkon"),
        (
            {variables.EXPORTER: "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"},
            "the protocol is carrier pigeon; allowed are http/protobuf, grpc",
        ),
    ],
)
def test_a_wrong_value_is_a_warning(
    environ: dict[str, str], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    start.start("x", environ)

    assert text in caplog.text
    assert spans.active() is None


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "image-classification-gateway"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ours,team=a"}, "ours"),
    ],
)
def test_the_service_has_a_name(
    environ: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)

    found = sdk.resource("image-classification-gateway").attributes

    assert found["service.name"] == name
    assert found["service.version"]
    assert found.get("team") == ("a" if name == "ours" else None)


def test_a_sampler_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")

    made = sdk.provider("x", {variables.EXPORTER: "console"})
    made.shutdown()

    assert "0.25" in made.sampler.get_description()


def test_the_end_does_not_wait_for_a_collector_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start, "_STOP_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv(ENDPOINT, address)
        start.start("x", {ENDPOINT: address})
        tracing = spans.active()
        assert tracing
        span = tracing.server_span("x", {}, {})
        assert span
        span.end({}, None)

        start.stop()

        assert "end of tracing" in {thread.name for thread in threading.enumerate()}
        assert spans.active() is None
