"""A fake gateway with prepared replies that records its requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.listening import listening


@dataclass
class Reply:
    """One prepared reply."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass
class RecordedRequest:
    """One recorded request."""

    path: str
    headers: Message
    body: bytes


class Script:
    """The replies of each path, in order, and the recorded requests; the last reply is repeated."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[RecordedRequest] = []

    def next(self, path: str) -> Reply:
        replies = self.replies[path]
        return replies.pop(0) if len(replies) > 1 else replies[0]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


class _Scripted(BaseHTTPRequestHandler):
    script: Script

    def do_OPTIONS(self) -> None:
        self._send(Reply(204, b""))

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.script.requests.append(RecordedRequest(self.path, self.headers, body))
        self._send(self.script.next(path))

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        headers = {
            "Content-Type": reply.kind,
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Expose-Headers": "*",
        }
        with suppress(BrokenPipeError):  # the page has closed the connection
            self.send_response(reply.status)
            for name, value in (headers | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scripted() -> Iterator[Script]:
    """Run a gateway with prepared replies."""
    script = Script()
    handler = type("Handler", (_Scripted,), {"script": script})
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as script.url:
        yield script
