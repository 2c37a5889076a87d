"""A Serving that is broken or hostile costs neither more time nor more memory than a call may."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from flask_server.deadline import Deadline
from flask_server.errors import (
    Overloaded,
    ServingError,
    ServingFault,
    ServingTimeout,
    ServingUnavailable,
)
from flask_server.serving.client import RestServing
from flask_server.serving.live_model import FRAME_BYTES
from flask_server.serving.upstream import ServableGone, Serving
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.flask_server.views.test_model_views import URL, code
from tests.listening import listening
from tests.waiting import eventually

MIB = 1024 * 1024
Send = Callable[[bytes], object]
Script = Callable[[Send], object]


@contextmanager
def answering(script: Script) -> Iterator[Serving]:
    """Run a server that reads a request and then sends what the script sends."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                length = 0
                while line := self.rfile.readline().strip().lower():
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                self.rfile.read(length)
                script(self.wfile.write)

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with listening(server) as url:
        serving = RestServing(url)
        yield serving
        serving.close()


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def dripped(data: bytes) -> Script:
    def script(send: Send) -> None:
        for at in range(len(data)):
            send(data[at : at + 1])
            time.sleep(0.02)

    return script


def for_ever(start: bytes, piece: bytes, pause_s: float = 0.0) -> Script:
    def script(send: Send) -> None:
        send(start)
        while True:
            send(piece)
            time.sleep(pause_s)

    return script


LOST = head("Content-Length: 0", "Connection: close", status="502 Bad Gateway")
SCORES = b'{"predictions": [[1.0]]}'
GIVEN = head(f"Content-Length: {len(SCORES)}", "Connection: close") + SCORES


def test_a_call_that_a_proxy_has_lost_is_repeated_once() -> None:
    answers = [LOST, GIVEN, LOST, LOST]

    with answering(lambda send: send(answers.pop(0))) as serving:
        assert serving.predict("m", 1, b"{}", Deadline(60)) == [[1.0]]
        with pytest.raises(ServingUnavailable, match="answered 502"):
            serving.predict("m", 1, b"{}", Deadline(60))

    assert answers == []


#: Longer than the deadline of the tests, were it sent byte by byte.
MANY = [f"X-{n}: {'a' * 30}" for n in range(50)]
CHUNKED = head("Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda _: time.sleep(30), id="nothing"),
        pytest.param(dripped(b"HTTP/1.1 200 " + b"O" * 200), id="status line"),
        pytest.param(dripped(head(*MANY)), id="headers"),
        pytest.param(for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), id="interim responses"),
        pytest.param(dripped(head("Content-Length: 900") + b" " * 900), id="body"),
        pytest.param(dripped(CHUNKED + chunk(b" ") * 200), id="chunks"),
        pytest.param(for_ever(CHUNKED + b"0\r\n", b"X: y\r\n", 0.01), id="trailers"),
        pytest.param(dripped(head() + b" " * 900), id="body without length"),
    ],
)
def test_the_deadline_ends_every_part_of_a_response(script: Script) -> None:
    # Were the response awaited to its end, that would be another error, or the test would hang.
    with answering(script) as serving, pytest.raises(ServingTimeout):
        serving.predict("toy", 1, b"{}", Deadline(0.5))


def packed(size: int, wbits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


BOMB = packed(64 * MIB, wbits=31)
SPACES = b" " * MIB


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(for_ever(CHUNKED, chunk(SPACES)), id="chunks"),
        pytest.param(for_ever(head(), SPACES), id="without length"),
        pytest.param(for_ever(head(f"Content-Length: {2**40}"), SPACES), id="length"),
        pytest.param(
            lambda send: send(
                head("Content-Encoding: gzip", f"Content-Length: {len(BOMB)}") + BOMB
            ),
            id="gzip",
        ),
        pytest.param(
            lambda send: send(
                head("Content-Encoding: gzip, gzip", "Connection: close") + gzip.compress(BOMB)
            ),
            id="gzip twice",
        ),
        pytest.param(
            lambda send: send(
                head("Content-Encoding: deflate", "Connection: close") + packed(64 * MIB, wbits=15)
            ),
            id="deflate",
        ),
    ],
)
def test_a_response_without_end_is_an_error_and_takes_little_memory(script: Script) -> None:
    with answering(script) as serving:
        tracemalloc.start()
        with pytest.raises(ServingError, match="more bytes than the call allows"):
            serving.predict("toy", 1, b"{}", Deadline(30), MIB)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The test's server sends from the same process: its buffers count as well.
    assert peak < 24 * MIB


def test_status_and_metadata_are_bounded() -> None:
    with answering(for_ever(head(), SPACES)) as serving:
        calls: list[Callable[[], object]] = [
            lambda: serving.status("toy", Deadline(30)),
            lambda: serving.metadata("toy", 1, Deadline(30)),
            lambda: serving.label_version("toy", "stable", Deadline(30)),
            lambda: serving.predict("toy", 1, b"{}", Deadline(30)),
        ]
        for call in calls:
            with pytest.raises(ServingError, match="more bytes than the call allows"):
                call()


@pytest.mark.parametrize(
    ("status", "kind"),
    [("404 Not Found", ServableGone), ("503 Busy", Overloaded), ("500 Oops", ServingError)],
)
def test_the_status_of_an_endless_error_counts(status: str, kind: type[Exception]) -> None:
    with (
        answering(for_ever(head(status=status), SPACES)) as serving,
        pytest.raises(kind, match="no error message"),
    ):
        serving.predict("toy", 1, b"{}", Deadline(30))


def test_a_compressed_response_is_read() -> None:
    body = gzip.compress(b'{"predictions": [7]}')
    answer = head("Content-Encoding: gzip", f"Content-Length: {len(body)}") + body
    with answering(lambda send: send(answer)) as serving:
        assert serving.predict("toy", 1, b"{}", Deadline(60)) == [7]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(head("Content-Encoding: gzip", "Content-Length: 4") + b"oops", id="no gzip"),
        pytest.param(
            head("Content-Encoding: gzip", "Connection: close") + BOMB[:100], id="cut gzip"
        ),
        pytest.param(head("Content-Encoding: zip", "Content-Length: 1") + b"\xff", id="zip"),
        pytest.param(head("Content-Length: x") + b"{}", id="length in words"),
        pytest.param(head("Content-Length: 1", "Content-Length: 2") + b"{}", id="two lengths"),
        pytest.param(head("Content-Length: -7") + b"{", id="negative length"),
        pytest.param(CHUNKED + b"zz\r\n", id="no chunk"),
        pytest.param(CHUNKED + b"f" * 40 + b"\r\n", id="vast chunk"),
        pytest.param(CHUNKED + b"0" * 70_000, id="long chunk size"),
        pytest.param(head(*[f"X{n}: y" for n in range(200)]), id="many headers"),
        pytest.param(head("X: " + "y" * 70_000), id="long header"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="no HTTP"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"", id="nothing"),
        pytest.param(head(status="204 No Content"), id="no content"),
        pytest.param(head("Content-Length: 0"), id="empty"),
    ],
)
def test_invalid_http_is_a_fault_of_serving(answer: bytes) -> None:
    with answering(lambda send: send(answer)) as serving, pytest.raises(ServingFault):
        serving.predict("toy", 1, b"{}", Deadline(60))


DIGITS = b"9" * 400
DEEP = b"[" * 100_000 + b"]" * 100_000

HOSTILE_JSON = [
    pytest.param(b'{"predictions": [[%b, 1, 2]]}' % DIGITS, id="400 digits"),
    pytest.param(b'{"predictions": [[-%b, 1, 2]]}' % DIGITS, id="minus 400 digits"),
    pytest.param(b'{"predictions": [[%b, 1, 2]]}' % (DIGITS * 20), id="8000 digits"),
    pytest.param(b'{"predictions": [[1e999, 1, 2]]}', id="1e999"),
    pytest.param(b'{"predictions": [[NaN, 1, 2]]}', id="NaN"),
    pytest.param(b'{"predictions": [[-Infinity, 1, 2]]}', id="Infinity"),
    pytest.param(b'{"predictions": %b}' % DEEP, id="deep"),
    pytest.param(b'{"predictions": [%b]}' % (b"[" * 900 + b"]" * 900), id="rather deep"),
    pytest.param(b'{"predictions": [[{}, [], ""]]}', id="kinds"),
    pytest.param(b'{"predictions": [[%b1]]}' % (b"1," * 9000), id="many"),
    pytest.param(b'{"predictions": [[[],[],[]]]}', id="lists"),
    pytest.param(b'{"predictions": ["\\ud800"]}', id="surrogate"),
    pytest.param(b'{"predictions": [["\xff"]]}', id="no UTF-8"),
    pytest.param(b'{"predictions": 1', id="cut"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"7", id="number"),
    pytest.param(b"\xff\xfe", id="bytes"),
]


@pytest.mark.parametrize("body", HOSTILE_JSON)
def test_hostile_scores_are_a_serving_error(
    make_app: MakeApp, serving: StubServing, body: bytes
) -> None:
    client = make_app().test_client()
    serving.answer = (200, body)

    assert code(ask(client)) == (502, "serving_error")


def status(version: str = '"1"', state: str = '"AVAILABLE"', message: str = '""') -> bytes:
    return (
        f'{{"model_version_status": [{{"version": {version}, "state": {state},'
        f' "status": {{"error_message": {message}}}}}]}}'
    ).encode()


def signature(name: str = '"serving_default"', size: str = '"4"') -> bytes:
    return (
        f'{{"metadata": {{"signature_def": {{"signature_def": {{{name}: {{"inputs": {{"x":'
        f' {{"dtype": "DT_FLOAT", "tensor_shape": {{"dim": [{{"size": {size}}}]}}}}}}}}}}}}}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("status", status(version="1e999")),
        ("status", status(version=DIGITS.decode())),
        ("status", status(version=f'"{DIGITS.decode()}"')),
        ("status", status(version='"-1"')),
        ("status", status(version="NaN")),
        ("status", status(version="[]")),
        ("status", status(state="[]")),
        ("status", status(message="{}")),
        ("status", b'{"model_version_status": 7}'),
        ("status", b'{"model_version_status": {"a": 1}}'),
        ("status", DEEP),
        ("metadata", signature(size="1e999")),
        ("metadata", signature(size=DIGITS.decode())),
        ("metadata", signature(size="null")),
        ("metadata", b'{"metadata": {"signature_def": {"signature_def": [[1, 2]]}}}'),
        ("metadata", b'{"metadata": {"signature_def": {"signature_def": [["a", 2]]}}}'),
        ("metadata", b'{"metadata": {"signature_def": {"signature_def": {"serving_default": 3}}}}'),
        ("metadata", DEEP),
        ("describe", b'{"predictions": ["[[[["]}'),
        ("describe", b'{"predictions": ["{\\"format\\": 1, \\"output\\": 1e999}"]}'),
        ("describe", b'{"predictions": ["%b"]}' % DEEP),
        ("describe", b'{"predictions": [%b]}' % DIGITS),
    ],
)
def test_hostile_descriptions_are_a_serving_error(
    make_app: MakeApp, serving: StubServing, call: str, body: bytes
) -> None:
    models = '[models.toy]\nbase_path="f"\ninput = { scale = "unit", height = 4, width = 4 }\n'
    serving.models["toy"] = {1: Servable(make_spec() if call == "describe" else None)}
    setattr(serving, f"{call}_answer", (200, body))
    client = make_app(models).test_client()

    assert code(ask(client)) == (502, "serving_error")
    shown: dict[str, Any] = client.get("/models/toy").get_json()
    assert shown["error"]["code"] == "serving_error"

    setattr(serving, f"{call}_answer", None)
    assert eventually(lambda: ask(client).status_code == 200)


def test_the_bound_follows_images_and_classes(make_app: MakeApp, serving: StubServing) -> None:
    client = make_app().test_client()
    padding = b" " * FRAME_BYTES
    serving.answer = (200, b'{"predictions": [[1, 2, 3]]}' + padding)
    assert ask(client).status_code == 200

    serving.answer = (200, b'{"predictions": [[1, 2, 3]]}' + padding + b" " * 3 * 64)
    assert code(ask(client)) == (502, "serving_error")

    serving.answer = (200, b'{"predictions": [[1, 2, 3], [1, 2, 3]]}' + padding + b" " * 3 * 64)
    assert client.post(URL, json={"images": [b64(flat("red"))] * 2}).status_code == 200


def test_scores_of_the_longest_form_are_read(make_app: MakeApp, serving: StubServing) -> None:
    labels = tuple(f"c{n}" for n in range(21_841))
    serving.models["toy"] = {1: Servable(make_spec(labels=labels))}
    client = make_app().test_client()
    rows = b",\n            ".join([b"-1.2345678901234567e-308"] * len(labels))
    serving.answer = (200, b'{\n    "predictions": [[%b\n    ]\n]\n}' % rows)

    assert ask(client).status_code == 200


def test_metadata_of_a_rich_model_fits(make_app: MakeApp, serving: StubServing) -> None:
    many = {f"signature_{n}": Servable().signatures()["serving_default"] for n in range(500)}
    metadata = Servable().signatures() | many
    serving.metadata_answer = (200, {"metadata": {"signature_def": {"signature_def": metadata}}})

    assert ask(make_app().test_client()).status_code == 200
