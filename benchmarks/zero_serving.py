"""A stub of TensorFlow Serving with fixed scores and next to no latency.

Benchmarks start it to measure the cost of the gateway alone: ``python -m benchmarks.zero_serving
PORT SIDE`` serves the model ``toy`` with 1000 classes and SIDE x SIDE pictures.
"""

from __future__ import annotations

import json
import socketserver
import sys
from typing import Any

from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec

CLASSES = 1000


def canned_responses(side: int) -> dict[str, bytes]:
    """Return complete HTTP responses (status, metadata, describe) and one row of scores."""
    spec = ModelSpec(
        name="toy",
        input=InputSpec(height=side, width=side),
        output=OutputSpec(classes=CLASSES),
        labels=imagenet_labels(),
    )
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_message": ""}}
    signatures = {
        "pixels": {},
        "describe": {},
        "serving_default": {
            "inputs": {"images": _tensor(-1, side, side, 3)},
            "outputs": {"scores": _tensor(-1, CLASSES)},
        },
    }
    row = [round(index / CLASSES**2, 9) for index in range(CLASSES)]
    return {
        "status": _http({"model_version_status": [status]}),
        "metadata": _http({"metadata": {"signature_def": {"signature_def": signatures}}}),
        "describe": _http({"predictions": [spec.to_json()]}),
        "row": json.dumps(row).encode(),
    }


def _tensor(*shape: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims, "unknown_rank": False}}


def _http(document: Any) -> bytes:  # noqa: ANN401 (JSON)
    return _answer(json.dumps(document).encode())


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Handler(socketserver.StreamRequestHandler):
    """Reads only as much of each request as it needs to choose the response."""

    disable_nagle_algorithm = True
    canned_responses: dict[str, bytes]

    def handle(self) -> None:
        """Answer requests until the client closes the connection."""
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header[15:])
            self.wfile.write(self._answer(line, self.rfile.read(length)))

    def _answer(self, line: bytes, body: bytes) -> bytes:
        if line.startswith(b"GET"):
            return self.canned_responses["metadata" if b"/metadata" in line else "status"]
        if b'"describe"' in body[:64]:
            return self.canned_responses["describe"]
        rows = b", ".join([self.canned_responses["row"]] * body.count(b'"b64"'))
        return _answer(b'{"predictions": [' + rows + b"]}")


class Server(socketserver.ThreadingTCPServer):
    """A server with one thread per connection."""

    allow_reuse_address = True
    daemon_threads = True


def main(port: int, side: int) -> None:
    """Serve until the process is terminated."""
    Handler.canned_responses = canned_responses(side)
    with Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
