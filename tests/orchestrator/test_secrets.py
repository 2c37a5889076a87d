"""No key and no password appears in what the real servers and auto_cmd write or answer.

One pair of servers gets every secret that a user can give them, and requests that fail in many
ways with a key in them. Then all logs, metrics, problem documents and the output of ``status``,
``doctor`` and ``logs`` are searched.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flask_server.access import key_writer
from orchestrator.resolved_options import KEYS_FILE
from tests.orchestrator.project_sandbox import ProjectSandbox
from tests.orchestrator.test_real_pair import PICTURE, sandbox_of_the_real_project
from tests.running import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.slow

#: A part of every secret but those of the key file.
MARK = "s3cr3t"
WRONG_KEY = f"icg_{MARK}_wrong"


@dataclass
class Pair:
    """Two running servers, a key for them, and all that clients have been answered."""

    sandbox: ProjectSandbox
    key: str
    keys: Path
    answers: list[str] = field(default_factory=list)

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        serving: bool = False,
    ) -> int:
        """Send a request to the gateway or to Serving, and keep the answer."""
        port = self.sandbox.serving_port if serving else self.sandbox.port
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, f"{answer.headers}{answer.read().decode()}"
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, f"{error.headers}{error.read().decode()}"
        self.answers.append(text)
        return int(status)

    def send(self, *lines: str, serving: bool = False) -> None:
        """Send lines that may be no HTTP, and keep the answer."""
        port = self.sandbox.serving_port if serving else self.sandbox.port
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            connection.shutdown(socket.SHUT_WR)
            self.answers.append(connection.recv(65536).decode())

    def written(self) -> str:
        """Return all that the servers and auto_cmd have written, and all answers."""
        files = (self.sandbox.root / ".run").rglob("*")
        texts = [path.read_text(errors="replace") for path in files if path.is_file()]
        for words in (("status",), ("status", "--json"), ("doctor",), ("logs",)):
            done = self.sandbox.call(*words)
            texts += [done.stdout, done.stderr]
        return "".join([*texts, *self.answers])


def secret_environment(keys: Path) -> Mapping[str, str]:
    """Return variables with a secret in each, and ports at which nobody answers."""
    return {
        KEYS_FILE: str(keys),
        "GATEWAY_LIMITS_URL": f"redis://me:{MARK}_redis@127.0.0.1:{free_port()}/0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{MARK}_otel@127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_HEADERS": f'authorization=Bearer%20{MARK}_header,"{MARK}_broken"',
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",  # so that the end of the servers waits no longer
        "GUNICORN_CMD_ARGS": "--log-level debug",
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("secrets")
    sandbox = sandbox_of_the_real_project(folder)
    keys = folder / "keys.json"
    key = key_writer.create(keys, "web")
    sandbox.env |= secret_environment(keys)
    sandbox.options += ("--gateway-workers", "1")
    with sandbox.torn_down():
        started = sandbox.call("start", "--detach")
        assert started.returncode == 0, started.stdout + started.stderr
        yield Pair(sandbox, key, keys, [started.stdout, started.stderr])


def provoke_the_gateway(pair: Pair) -> None:
    predict, picture = "/models/digits/predict", PICTURE.read_bytes()
    image = {"Content-Type": "image/png"}
    known = image | {"X-API-Key": pair.key}
    assert pair.ask(predict, known, picture) == 200
    assert pair.ask(predict, image | {"Authorization": f"Bearer {pair.key}"}, picture) == 200
    assert pair.ask(predict, known, b"no image") >= 400
    assert pair.ask("/models", {"X-API-Key": WRONG_KEY}) == 401
    assert pair.ask("/models", {"Authorization": f"Basic {pair.key}"}) == 401
    assert pair.ask(f"/models?api_key={pair.key}") == 401
    pair.ask(f"{predict}?api_key={pair.key}", known, picture)
    pair.send("GET /models HTTP/1.1", f"X-API-Key : {pair.key}")
    pair.send("GET /models HTTP/1.1", "Host: h", f"X-API-Key: {pair.key}\0")
    pair.send(f"GET /models?{pair.key} HTTP/9.9", "Host: h")
    pair.send(f"X-API-Key: {pair.key}")


def provoke_the_model_server(pair: Pair) -> None:
    token = {"Authorization": f"Bearer {MARK}_token"}
    assert pair.ask("/v1/models/digits", token, serving=True) == 200
    assert pair.ask("/v1/models/none:predict", token, b"{}", serving=True) == 404
    assert pair.ask("/v1/models/digits:predict", token, b"{", serving=True) == 400
    pair.send("GET /v1/models/digits HTTP/1.1", f"X-API-Key : {pair.key}", serving=True)
    pair.send(f"X-API-Key: {pair.key}", serving=True)


def break_the_files(pair: Pair) -> None:
    """Put a key where its name belongs, and a password into the models file."""
    models = pair.sandbox.root / "models.toml"
    url = f"http://me:{MARK}_serving@127.0.0.1:1"
    models.write_text(f'{models.read_text()}[models.b]\nbase_path = "b"\nserving_url = "{url}"\n')
    document = json.loads(pair.keys.read_text())
    document["keys"][0]["name"] = f"{pair.key}/"
    pair.keys.write_text(json.dumps(document))

    def is_logged() -> bool:
        pair.ask("/models", {"X-API-Key": pair.key})  # the key file is read when a request comes
        log = pair.sandbox.log("gateway")
        return "keys[0]: name " in log and "models.b.serving_url" in log

    assert eventually(is_logged)


def test_no_secret_is_written_or_answered(pair: Pair) -> None:
    pair.ask("/metrics")
    provoke_the_gateway(pair)
    provoke_the_model_server(pair)
    break_the_files(pair)
    assert eventually(lambda: "Transient error" in pair.sandbox.log("gateway"))
    pair.ask("/metrics")
    pair.ask("/monitoring/prometheus/metrics", serving=True)

    written = pair.written()

    assert "Redis does not answer" in written
    assert "Header format invalid!" in written
    assert [line for line in written.splitlines() if MARK in line or pair.key in line] == []


@pytest.mark.parametrize(
    ("words", "environ", "name"),
    [
        (
            ["start", "--serving", "none", "--serving-url", f"http://me:{MARK}@h"],
            {},
            "--serving-url",
        ),
        (["start"], {"GATEWAY_SERVING_URL": f"http://me:{MARK}@h"}, "GATEWAY_SERVING_URL"),
        (["doctor"], {"GATEWAY_SERVING_URL": f"http://me:{MARK}@h"}, "GATEWAY_SERVING_URL"),
        (
            ["doctor"],
            {"GATEWAY_LIMITS_URL": f"redis://:p#{MARK}@h:x", KEYS_FILE: "keys"},
            "GATEWAY_LIMITS_URL",
        ),
        (["doctor"], {"GATEWAY_API_KEY": MARK}, "GATEWAY_API_KEY"),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_repeated(
    tmp_path: Path, words: list[str], environ: dict[str, str], name: str
) -> None:
    sandbox = sandbox_of_the_real_project(tmp_path)
    key_writer.create(tmp_path / "keys", "web")
    sandbox.env |= environ
    if KEYS_FILE in environ:
        sandbox.env[KEYS_FILE] = str(tmp_path / environ[KEYS_FILE])

    done = sandbox.call(*words)

    assert done.returncode in {1, 2}, done.stdout + done.stderr
    assert name in done.stdout + done.stderr
    assert MARK not in done.stdout + done.stderr
