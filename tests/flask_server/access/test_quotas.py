"""Limits that several gateways count together in a real Redis, and what happens when it is away."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits.storage import RedisStorage

from flask_server.access import key_writer, shared_counts
from tests.flask_server.conftest import MakeApp
from tests.running import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="redis-server is not installed (Debian: apt-get install redis-server)",
)


class Redis:
    """A redis-server of the test, which it may stop, hang and start again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen(
            ["redis-server", *options], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        if not eventually(self._is_open):
            process.kill()
            raise AssertionError("redis-server did not start")
        return process

    def _is_open(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = self._start()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def key(tmp_path: Path) -> str:
    return key_writer.create(tmp_path / "keys.json", "web", "4 per minute")


@pytest.fixture
def redis_timeout_s() -> float:
    """Seconds that gateways wait for Redis: as long as a busy machine needs."""
    return 60.0


@pytest.fixture(autouse=True)
def _redis_timeout(redis_timeout_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_counts, "REDIS_TIMEOUT_S", redis_timeout_s)


USUAL_TIMEOUT_S = shared_counts.REDIS_TIMEOUT_S


@pytest.fixture
def app(make_app: MakeApp, tmp_path: Path, redis: Redis) -> Flask:
    return make_app(api_keys_file=tmp_path / "keys.json", limits_url=redis.url)


@pytest.fixture
def client(key: str, app: Flask) -> FlaskClient:
    return app.test_client()


def ask(client: FlaskClient, key: str) -> int:
    return client.get("/models", headers={"X-API-Key": key}).status_code


def test_two_gateways_share_one_quota(
    client: FlaskClient, make_app: MakeApp, tmp_path: Path, redis: Redis, key: str
) -> None:
    settings = {"api_keys_file": tmp_path / "keys.json", "limits_url": redis.url}
    other = make_app(**settings).test_client()

    statuses = [ask(each, key) for each in (client, other, client, other, client, other)]

    assert statuses == [200, 200, 200, 200, 429, 429]


def test_shared_limit_says_when_to_come_back(client: FlaskClient, key: str) -> None:
    for _ in range(4):
        ask(client, key)

    refused = client.get("/models", headers={"X-API-Key": key})

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_what_is_left_is_counted_for_all_gateways(
    client: FlaskClient, make_app: MakeApp, tmp_path: Path, redis: Redis, key: str
) -> None:
    settings = {"api_keys_file": tmp_path / "keys.json", "limits_url": redis.url}
    other = make_app(**settings).test_client()

    answers = [
        each.get("/models", headers={"X-API-Key": key})
        for each in (client, other, client, other, client)
    ]

    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"minute";q=4;w=60'}
    left = [answer.headers["RateLimit"].split(";")[1] for answer in answers]
    assert left == ["r=3", "r=2", "r=1", "r=0", "r=0"]
    assert [answer.status_code for answer in answers[3:]] == [200, 429]


def test_redis_never_sees_the_key(client: FlaskClient, key: str, redis: Redis) -> None:
    ask(client, key)

    with socket.create_connection(("127.0.0.1", redis.port), 60) as connection:
        connection.sendall(b"KEYS *\r\n")
        names = connection.recv(10_000).decode()

    assert "image-gateway" in names
    assert key not in names


def test_redis_that_goes_away_takes_nothing_down(
    client: FlaskClient, key: str, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    ask(client, key)
    redis.stop()

    statuses = [ask(client, key) for _ in range(5)]

    assert statuses == [200, 200, 200, 200, 429]
    (warning,) = warnings(caplog)
    assert "Redis does not answer" in warning.message


def test_many_callers_make_one_warning(
    client: FlaskClient, app: Flask, redis: Redis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask(client, key)
    redis.stop()

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: ask(app.test_client(), key), range(32)))

    assert sorted(set(statuses)) == [200, 429]
    assert [each.levelno for each in warnings(caplog)] == [logging.WARNING]


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the warnings about Redis; the polls of an earlier test may log some of their own."""
    ours = [record for record in caplog.records if record.name == shared_counts.__name__]
    return [record for record in ours if record.levelno >= logging.WARNING]


def test_redis_that_comes_back_counts_again(
    make_app: MakeApp, tmp_path: Path, key: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PROBE_S", 0.1)
    client = make_app(api_keys_file=tmp_path / "keys.json", limits_url=redis.url).test_client()
    redis.stop()
    while ask(client, key) == 200:
        pass

    redis.start()
    time.sleep(shared_counts.PROBE_S)

    assert [ask(client, key) for _ in range(5)] == [200, 200, 200, 200, 429]


def test_one_request_waits_for_a_redis_that_hangs(
    make_app: MakeApp,
    tmp_path: Path,
    key: str,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shared_counts, "PROBE_S", 60.0)
    # Redis has to have answered before it hangs, for which a busy machine may need more time.
    for timeout_s in (USUAL_TIMEOUT_S, 10 * USUAL_TIMEOUT_S, 100 * USUAL_TIMEOUT_S):
        caplog.clear()
        monkeypatch.setattr(shared_counts, "REDIS_TIMEOUT_S", timeout_s)
        client = make_app(api_keys_file=tmp_path / "keys.json", limits_url=redis.url).test_client()
        ask(client, key)
        if not warnings(caplog):
            break
    asked: list[str] = []

    def incr(storage: RedisStorage, counted: str, *arguments: Any) -> int:
        asked.append(counted)
        return redis_incr(storage, counted, *arguments)

    redis_incr = RedisStorage.incr
    monkeypatch.setattr(RedisStorage, "incr", incr)
    redis.process.send_signal(signal.SIGSTOP)

    assert [ask(client, key) for _ in range(4)] == [200, 200, 200, 200]
    assert len(asked) == 1


def test_gateway_starts_without_redis(
    make_app: MakeApp, tmp_path: Path, key: str, redis: Redis
) -> None:
    redis.stop()

    app = make_app(api_keys_file=tmp_path / "keys.json", limits_url=redis.url)

    assert ask(app.test_client(), key) == 200


@pytest.mark.parametrize("redis_timeout_s", [USUAL_TIMEOUT_S])
def test_redis_that_hangs_fails_no_concurrent_caller(
    client: FlaskClient, app: Flask, redis: Redis, key: str
) -> None:
    ask(client, key)
    redis.process.send_signal(signal.SIGSTOP)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: ask(app.test_client(), key), range(16)))

    assert sorted(set(statuses)) == [200, 429]
