"""Both servers as processes, which send their spans to a collector."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.flask_server.gunicorn_process import start, stopping, wait_until_open
from tests.model_server.harness import server_process
from tests.running import answers, free_port, write_models_file
from tests.serving_tracing.collector import ROTEL, Receiver, collector, receiver_alone
from tests.serving_tracing.conftest import DIGIT, version_folder
from tests.serving_tracing.test_request_traces import PARENT
from tests.waiting import eventually

pytestmark = pytest.mark.slow

FLAGS = (f"--model_base_path={version_folder().parent}", "--model_name=digits")
MODEL_SERVER = (sys.executable, "-m", "model_server")
#: Where the spans go; the receiver alone replaces a collector that is not installed.
GOALS = [
    pytest.param(
        collector, marks=pytest.mark.skipif(ROTEL is None, reason="rotel is not installed")
    ),
    pytest.param(
        receiver_alone,
        marks=pytest.mark.skipif(ROTEL is not None, reason="rotel sends to the same receiver"),
    ),
]


@pytest.mark.parametrize("goal", GOALS)
def test_the_spans_of_both_servers_arrive(
    tmp_path: Path, goal: Callable[[Path], AbstractContextManager[tuple[str, Receiver]]]
) -> None:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    with goal(tmp_path) as (address, receiver):
        environ = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        environ |= {"OTEL_BSP_SCHEDULE_DELAY": "60000"}  # all spans are sent at the end
        log = tmp_path / "model_server.log"
        with server_process(MODEL_SERVER, log, *FLAGS, env=environ) as process:
            _ask_gateway(f"http://127.0.0.1:{process.port}", environ, tmp_path)
        assert eventually(lambda: len(receiver.of(PARENT[3:35])) >= 11), log.read_text()
        found = receiver.of(PARENT[3:35])

    services = {(received.service, received.span.name) for received in found}
    call = "POST /v1/models/{model}/versions/{version}:predict"
    gateway, server = "image-classification-gateway", "embedded-model-server"
    assert services == {
        *((gateway, name) for name in ("POST /models/<name>/predict", "decode", "preprocess")),
        *((gateway, name) for name in ("serving", "batch wait", call, "postprocess")),
        *((server, name) for name in (call, "parse", "queue", "inference")),
    }
    sides = {received.service: received.span for received in found if received.span.name == call}
    assert sides[server].parent_span_id == sides[gateway].span_id
    assert f"trace_id={PARENT[3:35]}" in (tmp_path / "gateway.log").read_text()


def _ask_gateway(serving_url: str, environ: dict[str, str], folder: Path) -> None:
    """Run the gateway for one request that is a part of a trace."""
    port = free_port()
    settings = {
        "GATEWAY_SERVING_URL": serving_url,
        "GATEWAY_MODELS_FILE": str(write_models_file({"digits": version_folder().parent}, folder)),
        "GATEWAY_WORKERS": "1",
        "GATEWAY_LOG_FORMAT": "text",
    }
    url = f"http://127.0.0.1:{port}"
    request = urllib.request.Request(
        f"{url}/models/digits/predict", DIGIT.read_bytes(), {"traceparent": PARENT}
    )
    with (
        (folder / "gateway.log").open("wb") as log,
        stopping(start(port, environ | settings, log)) as child,
    ):
        assert eventually(lambda: answers(f"{url}/readyz") or child.poll() is not None)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200


def test_gunicorn_warns_once_of_a_missing_package(tmp_path: Path) -> None:
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest:"
        " None if name.startswith('opentelemetry') else find(name, *rest)\n"
    )
    port, log_file = free_port(), tmp_path / "gateway.log"
    environ = {
        "PYTHONPATH": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "GATEWAY_MODELS_FILE": str(write_models_file({"m": tmp_path}, tmp_path)),
        "GATEWAY_WORKERS": "2",
    }
    with log_file.open("wb") as log, stopping(start(port, environ, log)) as child:
        wait_until_open(f"http://127.0.0.1:{port}", child)

    assert log_file.read_text().count("opentelemetry-sdk is not installed") == 1
