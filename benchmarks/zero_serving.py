"""A TensorFlow Serving that answers in no time: fixed scores, as little work as sockets allow.

Started by benchmarks that want to see what the gateway itself costs: ``python -m
benchmarks.zero_serving PORT SIDE`` serves model ``toy`` with 1000 classes and SIDE x SIDE pictures.
"""

from __future__ import annotations

import json
import socketserver
import sys
from typing import Any

from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec

CLASSES = 1000


def answers(side: int) -> dict[str, bytes]:
    """Return the finished HTTP answers: status, metadata, describe and one row of scores."""
    spec = ModelSpec(
        name="toy",
        input=InputSpec(height=side, width=side),
        output=OutputSpec(classes=CLASSES),
        labels=imagenet_labels(),
    )
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_message": ""}}
    signatures: dict[str, Any] = {"pixels": {}, "describe": {}, "serving_default": {}}
    row = [round(index / CLASSES**2, 9) for index in range(CLASSES)]
    return {
        "status": _http({"model_version_status": [status]}),
        "metadata": _http({"metadata": {"signature_def": {"signature_def": signatures}}}),
        "describe": _http({"predictions": [spec.to_json()]}),
        "row": json.dumps(row).encode(),
    }


def _http(document: Any) -> bytes:  # noqa: ANN401 (JSON)
    return _answer(json.dumps(document).encode())


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Handler(socketserver.StreamRequestHandler):
    """Reads just enough of each request to know which answer it gets."""

    disable_nagle_algorithm = True
    answers: dict[str, bytes]

    def handle(self) -> None:
        """Answer until the caller closes."""
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header[15:])
            self.wfile.write(self._answer(line, self.rfile.read(length)))

    def _answer(self, line: bytes, body: bytes) -> bytes:
        if line.startswith(b"GET"):
            return self.answers["metadata" if b"/metadata" in line else "status"]
        if b'"describe"' in body[:64]:
            return self.answers["describe"]
        rows = b", ".join([self.answers["row"]] * body.count(b'"b64"'))
        return _answer(b'{"predictions": [' + rows + b"]}")


class Server(socketserver.ThreadingTCPServer):
    """One thread per connection."""

    allow_reuse_address = True
    daemon_threads = True


def main(port: int, side: int) -> None:
    """Serve until the process is ended."""
    Handler.answers = answers(side)
    with Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
