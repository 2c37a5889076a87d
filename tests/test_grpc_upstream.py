"""The gateway in front of a real model server, over gRPC and over REST."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.flask_server.gunicorn_process import start, stopping
from tests.running import (
    ROOT,
    free_port,
    gateway,
    model_config,
    model_server,
    write_models_file,
)
from tests.waiting import eventually

pytestmark = pytest.mark.slow

MODELS = {"digits": ROOT / "my_digit_classifier"}
PICTURES = sorted((ROOT / "test_images").glob("digit_*"))


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of one model server by protocol."""
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    port = free_port()
    folder = tmp_path_factory.mktemp("server")
    with model_server(model_config(MODELS), folder, port) as rest:
        yield {"rest": rest, "grpc": f"grpc://127.0.0.1:{port}"}


def test_both_protocols_give_the_same_answers(addresses: dict[str, str], tmp_path: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for protocol, address in addresses.items():
        with gateway(address, MODELS, tmp_path) as client:
            found[protocol] = [
                client.post("/models/digits/predict?top_k=10", data=picture.read_bytes()).get_json()
                for picture in PICTURES
            ]

    assert PICTURES
    for rest, grpc in zip(found["rest"], found["grpc"], strict=True):
        assert rest["version"] == grpc["version"]
        labels = [[(p["class_id"], p["label"]) for p in one["predictions"]] for one in (rest, grpc)]
        assert labels[0] == labels[1]
        scores = [[p["score"] for p in one["predictions"]] for one in (rest, grpc)]
        assert scores[1] == pytest.approx(scores[0], abs=1e-7)


def test_each_gunicorn_worker_has_its_own_channel(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    port, log_file = free_port(), tmp_path / "gateway.log"
    environ = {
        "GATEWAY_SERVING_URL": addresses["grpc"],
        "GATEWAY_MODELS_FILE": str(write_models_file(MODELS, tmp_path)),
        "GATEWAY_WORKERS": "2",
    }
    url = f"http://127.0.0.1:{port}"
    picture = PICTURES[0].read_bytes()

    def ask(_: int) -> int:
        with urllib.request.urlopen(f"{url}/models/digits/predict", picture, 60) as response:
            return int(response.status)

    live = b"version 1 is live"
    with log_file.open("wb") as log, stopping(start(port, environ, log)) as process:
        assert eventually(lambda: log_file.read_bytes().count(live) == 2)
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(32)))

    text = log_file.read_text()
    assert statuses == [200] * 32, text
    assert text.count(live.decode()) == 2, text
    assert process.returncode == 0
    assert "fork" not in text
