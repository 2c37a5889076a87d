"""The numbers that several gunicorn workers make together, with the project's own config file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flask_server.conftest import b64, draw
from tests.flask_server.gunicorn_process import start, stopping
from tests.flask_server.stub_serving import StubServing
from tests.flask_server.telemetry.test_metrics import Samples, samples, value
from tests.running import answers, free_port
from tests.waiting import eventually

URL = "/models/toy/predict"
WORKERS = 2
MAX_IN_FLIGHT = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds workers in /proc"),
]


class Gunicorn:
    """The gateway with several workers in front of a stub Serving."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, temp: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.temp = temp

    def predict(self) -> int:
        body = json.dumps({"image": b64(draw())}).encode()
        request = urllib.request.Request(
            self.url + URL, body, {"Content-Type": "application/json", "Connection": "close"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status: int = response.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def scrape(self) -> Samples:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as response:
            return samples(response.read().decode())

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return set(map(int, children.split()))

    def complete(self) -> bool:
        """Whether every worker has made its app, and nobody else's gauges are left."""
        if not answers(f"{self.url}/healthz"):
            return False
        limit = value(self.scrape(), "predictions_in_flight_limit")
        return limit == WORKERS * MAX_IN_FLIGHT

    def ok(self) -> float:
        return value(self.scrape(), "predictions_total", model="toy", version="1", outcome="ok")


@pytest.fixture(scope="module")
def stub() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        yield stub


@pytest.fixture(scope="module")
def gunicorn(stub: StubServing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "models.toml").write_text('[models.toy]\nbase_path = "toy"\n')
    temp = folder / "temp"
    temp.mkdir()
    port = free_port()
    environ = {
        "GATEWAY_SERVING_URL": stub.url,
        "GATEWAY_MODELS_FILE": str(folder / "models.toml"),
        "GATEWAY_WORKERS": str(WORKERS),
        "GATEWAY_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT),
        "TMPDIR": str(temp),
    }
    with Path(os.devnull).open("wb") as log, stopping(start(port, environ, log)) as process:
        running = Gunicorn(process, port, temp)
        assert eventually(running.complete)
        yield running
    assert not list(temp.glob("gateway-metrics-*"))


def test_every_worker_tells_the_sum_of_all(gunicorn: Gunicorn) -> None:
    before = gunicorn.ok()

    for _ in range(20):
        assert gunicorn.predict() == 200

    assert {gunicorn.ok() for _ in range(8)} == {before + 20}
    assert value(gunicorn.scrape(), "serving_up", model="toy") == 1


def test_requests_that_no_app_sees_are_counted_in_every_worker(gunicorn: Gunicorn) -> None:
    address = ("127.0.0.1", int(gunicorn.url.rpartition(":")[2]))

    for _ in range(8):
        with socket.create_connection(address, 60) as connection:
            connection.sendall(b"no request line\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")

    found = [gunicorn.scrape() for _ in range(8)]
    assert {value(each, "unhandled_requests_total", reason="malformed") for each in found} == {8}


def test_figures_of_processes_are_those_of_the_master_and_all_workers(gunicorn: Gunicorn) -> None:
    found = [gunicorn.scrape() for _ in range(8)]

    assert {value(each, "processes") for each in found} == {1 + WORKERS}
    assert len({value(each, "process_start_time_seconds") // 10 for each in found}) <= 2
    cpu = [value(each, "process_cpu_seconds_total") for each in found]
    assert cpu == sorted(cpu)


def test_killed_worker_leaves_sane_numbers(gunicorn: Gunicorn, stub: StubServing) -> None:
    before = gunicorn.ok()
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        go.wait(60)

    stub.before_predict = hold
    stuck = threading.Thread(target=lambda: pytest.raises(OSError, gunicorn.predict))
    stuck.start()
    assert inside.wait(60)
    at_work = value(gunicorn.scrape(), "predictions_in_flight")
    victims = gunicorn.workers()

    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    stub.before_predict = lambda: None
    go.set()
    stuck.join()
    assert eventually(lambda: not gunicorn.workers() & victims and gunicorn.complete())

    assert at_work == 1
    assert value(gunicorn.scrape(), "predictions_in_flight") == 0
    assert gunicorn.ok() == before
    assert gunicorn.predict() == 200
    assert gunicorn.ok() == before + 1


def test_reload_keeps_the_counts(gunicorn: Gunicorn) -> None:
    assert gunicorn.predict() == 200
    before, workers = gunicorn.ok(), gunicorn.workers()

    gunicorn.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: not gunicorn.workers() & workers)
    assert eventually(gunicorn.complete)

    assert gunicorn.ok() == before
    assert len(list(gunicorn.temp.glob("gateway-metrics-*"))) == 1


def test_no_directory_where_metrics_are_off(tmp_path: Path) -> None:
    environ = {"GATEWAY_METRICS": "no", "TMPDIR": str(tmp_path)}
    with start(free_port(), environ | {"GATEWAY_SERVING_URL": "http://127.0.0.1:9"}) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert not list(tmp_path.glob("gateway-metrics-*"))
