"""A small TensorFlow Serving of our own: real sockets, answers that a test can set."""

from __future__ import annotations

import base64
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from model_catalog.spec import InputSpec, ModelSpec, OutputSpec

#: Spaces after a response that is dripped: it lasts longer than any test.
_ENDLESS = b" " * 100_000

Row = list[float]
#: Scores for one picture, from its raw pixels as the ``pixels`` signature gets them.
Scorer = Callable[[np.ndarray[Any, Any]], Row]


def make_spec(
    name: str = "toy", labels: tuple[str, ...] = ("dark", "middle", "light"), **fields: Any
) -> ModelSpec:
    """A spec for pictures of 4 x 4, unless the fields say otherwise."""
    return ModelSpec(
        name=name,
        input=fields.pop("input", InputSpec(height=4, width=4)),
        output=OutputSpec(classes=len(labels), activation=fields.pop("activation", "softmax")),
        labels=tuple((f"id{i}", label) for i, label in enumerate(labels)),
        **fields,
    )


def by_brightness(pixels: np.ndarray[Any, Any]) -> Row:
    """Dark pictures get the first class, light ones the last."""
    light = float(pixels.mean()) / 255
    return [1 - light, 0.25, light]


@dataclass
class Servable:
    """One version of a model: what it says of itself and how it scores."""

    spec: ModelSpec | None = field(default_factory=make_spec)
    score: Scorer = by_brightness
    dtype: str = "DT_FLOAT"
    shape: tuple[int, ...] = (-1, 4, 4, 3)
    outputs: dict[str, tuple[str, int]] = field(default_factory=lambda: {"y": ("DT_FLOAT", 3)})
    state: str = "AVAILABLE"
    engine: str = ""
    declared: dict[str, Any] | None = None
    """The signatures to show instead of the usual ones."""

    def signatures(self) -> dict[str, Any]:
        if self.declared is not None:
            return self.declared
        default = {
            "inputs": {"x": tensor(self.dtype, self.shape)},
            "outputs": {k: tensor(dtype, (-1, n)) for k, (dtype, n) in self.outputs.items()},
        }
        ours: dict[str, Any] = {} if self.spec is None else {"pixels": {}, "describe": {}}
        return {"serving_default": default} | ours

    def predict(self, body: dict[str, Any]) -> list[Any]:
        signature = body.get("signature_name")
        if signature == "describe" and self.spec is not None:
            return [self.spec.to_json() for _ in body["instances"]]
        if signature == "pixels" and self.spec is not None:
            view = self.spec.images
            shape = (view.height, view.width, view.channels)
            raw = (base64.b64decode(item["b64"]) for item in body["instances"])
            return [self.score(np.frombuffer(data, np.uint8).reshape(shape)) for data in raw]
        rows = [self.score(_picture(item)) for item in body["instances"]]
        if len(self.outputs) == 1:
            return rows
        return [dict.fromkeys(self.outputs, ["a"]) | {"scores": row} for row in rows]


def tensor(dtype: str, shape: tuple[int, ...], *, scalar: bool = False) -> dict[str, Any]:
    """An input or output as Serving describes it; without sizes, its rank is unknown."""
    dims = [{"size": str(size), "name": ""} for size in shape]
    unknown = not shape and not scalar
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": unknown}, "name": "x:0"}


def _picture(item: Any) -> np.ndarray[Any, Any]:
    if isinstance(item, dict):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(item["b64"]))))
    return np.array(item, np.float64)


class StubServing:
    """The server; ``models`` is what it serves, set answers overrule its own."""

    def __init__(self) -> None:
        self.models: dict[str, dict[int, Servable]] = {"toy": {1: Servable()}}
        self.labels: dict[str, int] = {}
        self.answer: tuple[int, Any] | None = None
        self.metadata_answer: tuple[int, Any] | None = None
        self.label_answer: tuple[int, Any] | None = None
        self.status_answer: tuple[int, Any] | None = None
        self.describe_answer: tuple[int, Any] | None = None
        self.breaks = 0
        self.halves = 0
        self.drip_s = 0.0
        self.delay_s = 0.0
        self.get_delay_s = 0.0
        self.metadata_delays_s: dict[int, float] = {}
        self.predicts: list[dict[str, Any]] = []
        self.before_predict: Callable[[], object] = lambda: None
        self._ended = threading.Event()
        self.server = self._listen(0)

    def _listen(self, port: int) -> _Server:
        server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"stub": self}))
        server.daemon_threads = True
        return server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self) -> Iterator[StubServing]:
        self._serve()
        try:
            yield self
        finally:
            self._ended.set()
            self._die()

    def pause(self, seconds: float) -> None:
        """Wait so long, but not beyond the end of the server."""
        self._ended.wait(seconds)

    def _serve(self) -> None:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def _die(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Be dead inside the block, like a killed process, and come back on the same port."""
        port, dead = self.server.server_port, self.server
        self._die()
        dead.close_connections()
        try:
            yield
        finally:
            self.server = self._listen(port)
            self._serve()

    def restart(self) -> None:
        """Die with all connections, like a killed process, and come back on the same port."""
        with self.stopped():
            pass


class _Server(ThreadingHTTPServer):
    """Remembers its connections, so that it can die like a process."""

    def __init__(self, *args: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, but not callers that have gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: with Nagle's algorithm each answer would take 40 ms.
    disable_nagle_algorithm = True
    stub: StubServing

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.stub.pause(self.stub.get_delay_s)
        _, _, _, name, *rest = self.path.split("/")
        versions = self.stub.models.get(name)
        if versions is None:
            return self._say(404, {"error": f"Could not find any versions of model {name}"})
        if not rest and self.stub.status_answer is not None:
            return self._say(*self.stub.status_answer)
        if not rest:
            return self._say(
                200, {"model_version_status": [_status(v, s) for v, s in versions.items()]}
            )
        return self._metadata(name, versions, rest)

    def _metadata(self, name: str, versions: dict[int, Servable], rest: list[str]) -> None:
        if rest[0] == "labels" and self.stub.label_answer is not None:
            return self._say(*self.stub.label_answer)
        if rest[0] == "labels" and rest[1] not in self.stub.labels:
            return self._say(400, {"error": f"Unrecognized servable version label: {rest[1]}"})
        number = self.stub.labels[rest[1]] if rest[0] == "labels" else int(rest[1])
        if number not in versions:
            return self._say(
                404, {"error": f"Servable not found for request: Specific({name}, {number})"}
            )
        self.stub.pause(self.stub.metadata_delays_s.get(number, 0.0))
        if self.stub.metadata_answer is not None:
            return self._say(*self.stub.metadata_answer)
        return self._say(
            200,
            {
                "model_spec": {"name": name, "version": str(number)},
                "metadata": {"signature_def": {"signature_def": versions[number].signatures()}},
            },
            versions[number].engine,
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("signature_name") == "describe":
            if self.stub.describe_answer is not None:
                return self._say(*self.stub.describe_answer)
            return self._predict(body)
        self.stub.predicts.append(body | {"path": self.path})
        self.stub.before_predict()
        self.stub.pause(self.stub.delay_s)
        if self.stub.breaks > 0:
            self.stub.breaks -= 1
            self.close_connection = True
            return None
        if self.stub.halves > 0:
            self.stub.halves -= 1
            return self._say_half()
        if self.stub.answer is not None:
            return self._say(*self.stub.answer)
        return self._predict(body)

    def _say_half(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"predictions": [[0.1')
        self.close_connection = True

    def _predict(self, body: dict[str, Any]) -> None:
        _, _, _, name, _, last = self.path.split("/")
        number = int(last.removesuffix(":predict"))
        servable = self.stub.models.get(name, {}).get(number)
        if servable is None:
            return self._say(
                404, {"error": f"Servable not found for request: Specific({name}, {number})"}
            )
        return self._say(200, {"predictions": servable.predict(body)})

    def _say(self, status: int, document: Any, engine: str = "") -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        is_dripped = self.command == "POST" and self.stub.drip_s > 0
        data += _ENDLESS if is_dripped else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if engine:
            self.send_header("Model-Engine", engine)
        self.end_headers()
        step = 1 if is_dripped else max(len(data), 1)
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            self.stub.pause(self.stub.drip_s)


def _status(version: int, servable: Servable) -> dict[str, Any]:
    return {
        "version": str(version),
        "state": servable.state,
        "status": {"error_code": "OK", "error_message": ""},
    }
