"""The sample request asks a gateway on this machine directly, and any other through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flask_server.flask_sample_request import main
from tests.listening import listening

CAT = Path(__file__).parents[2] / "test_images" / "cat.jpg"


class Handler(BaseHTTPRequestHandler):
    """Answers every POST with the requested path, which a proxy gets as a whole URL."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = f'{{"path": "{self.path}"}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with listening(server):
        yield server.server_port


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_directly(
    port: int, host: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")

    assert main(["-i", str(CAT), "--model", "m", "--url", f"http://{host}:{port}"]) == 0


def test_another_machine_is_asked_through_the_proxy(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")

    assert main(["-i", str(CAT), "--url", "http://gateway.example"]) == 0

    assert "http://gateway.example/imageclassifier/predict/" in capsys.readouterr().out
