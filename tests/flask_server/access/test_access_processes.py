"""Keys and limits as gateways in processes of their own keep them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_server.access import key_writer
from orchestrator.processes import children
from tests.flask_server.access.test_quotas import Redis
from tests.flask_server.gunicorn_process import start, wait_until_open
from tests.flask_server.stub_serving import StubServing
from tests.running import ROOT, answers, free_port
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def environ(serving: StubServing, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "models.toml").write_text('[models.toy]\nbase_path = "toy"\n')
    return {
        "GATEWAY_SERVING_URL": serving.url,
        "GATEWAY_MODELS_FILE": str(tmp_path / "models.toml"),
        "GATEWAY_API_KEYS_FILE": str(tmp_path / "keys.json"),
        "GATEWAY_WORKERS": "1",
    }


class Gateways:
    """Gunicorns that one test has started."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, environ: dict[str, str]) -> str:
        """Return the URL of a gunicorn, once it answers."""
        port = free_port()
        self.processes.append(start(port, environ))
        url = f"http://127.0.0.1:{port}"
        wait_until_open(url, self.processes[-1])
        return url

    def stop(self) -> str:
        """End all of them; what they logged."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        logs = [process.communicate(timeout=60)[1].decode() for process in self.processes]
        self.processes.clear()
        return "".join(logs)


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    running = Gateways()
    yield running
    running.stop()


def ask(url: str, key: str) -> int:
    request = urllib.request.Request(f"{url}/models", headers={"X-API-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def patient_with_redis(folder: Path) -> dict[str, str]:
    """Return the variables of a gateway that waits for Redis as long as a busy machine needs.

    With its usual timeout, a reply that is late there would let each process count by itself.
    """
    (folder / "sitecustomize.py").write_text(
        "from flask_server.access import shared_counts\nshared_counts.REDIS_TIMEOUT_S = 60\n"
    )
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_two_processes_share_one_quota_and_one_key_file(
    environ: dict[str, str], gateways: Gateways, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    key = key_writer.create(file, "web", "4 per minute")
    redis = Redis(tmp_path)
    environ["GATEWAY_LIMITS_URL"] = redis.url
    environ |= patient_with_redis(tmp_path)
    try:
        one, two = gateways.start(environ), gateways.start(environ)
        statuses = [ask(url, key) for url in (one, two, one, two, one, two)]
        key_writer.revoke(file, "web")
        are_revoked = eventually(lambda: [ask(url, key) for url in (one, two)] == [401, 401])
    finally:
        redis.stop()

    assert statuses == [200, 200, 200, 200, 429, 429]
    assert are_revoked
    assert "icg_" not in gateways.stop()


def test_files_that_break_later_end_neither_the_master_nor_the_models(
    environ: dict[str, str], gateways: Gateways, tmp_path: Path
) -> None:
    key = key_writer.create(tmp_path / "keys.json", "web")
    url = gateways.start(environ)
    (master,) = gateways.processes
    good = (tmp_path / "keys.json").read_text()

    (tmp_path / "keys.json").write_text("half")
    (tmp_path / "models.toml").write_text("half")
    (worker,) = children(master.pid)
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: ask(url, key) == 503)
    (tmp_path / "keys.json").write_text(good)
    assert eventually(lambda: ask(url, key) == 200)

    (tmp_path / "keys.json").write_text("half")
    (before,) = children(master.pid)
    master.send_signal(signal.SIGHUP)
    assert eventually(lambda: before not in children(master.pid) and answers(f"{url}/healthz"))

    log = gateways.stop()
    assert "models.toml: not TOML" in log
    assert "The previous configuration stays in use" in log
    assert "every key is refused" in log
    assert "Traceback" not in log


def test_start_says_once_that_limits_in_memory_hold_per_worker(
    environ: dict[str, str], gateways: Gateways, tmp_path: Path
) -> None:
    key_writer.create(tmp_path / "keys.json", "web")
    gateways.start(environ | {"GATEWAY_WORKERS": "2"})

    assert gateways.stop().count("hold per worker") == 1


@pytest.mark.parametrize(
    ("text", "url", "said"),
    [
        (None, "memory://", "There is no API key file"),
        ("half", "memory://", "keys.json cannot be used: it is not JSON"),
        (
            '{"format": 1, "keys": []}',
            "redis://:secret@host:x",
            "GATEWAY_LIMITS_URL is not the address",
        ),
    ],
)
def test_what_cannot_be_used_stops_the_start_with_one_sentence(
    environ: dict[str, str],
    gateways: Gateways,
    tmp_path: Path,
    text: str | None,
    url: str,
    said: str,
) -> None:
    if text is not None:
        (tmp_path / "keys.json").write_text(text)

    with start(free_port(), environ | {"GATEWAY_LIMITS_URL": url}) as process:
        _, log = process.communicate(timeout=60)

    (line,) = log.decode().splitlines()
    assert process.returncode == 1
    assert said in line
    assert "secret" not in line
