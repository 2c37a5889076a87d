"""The gateway as it runs in production: gunicorn with the project's own config file."""

from __future__ import annotations

import json
import runpy
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from flask_server import flask_sample_request
from tests.flask_server.conftest import draw, flat
from tests.flask_server.gunicorn_process import running_gateway, start
from tests.flask_server.stub_serving import StubServing
from tests.running import ROOT, free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stub() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        yield stub


@pytest.fixture(scope="module")
def gateway(stub: StubServing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), stub.url) as url:
        yield url


def test_a_setting_whose_package_is_missing_stops_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flask_server.runtime.preload._models_file", None)
    monkeypatch.setenv("GATEWAY_FAST_RESIZE", "true")
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)

    with pytest.raises(SystemExit, match="GATEWAY_FAST_RESIZE is on, but"):
        runpy.run_path(str(ROOT / "flask_server/gunicorn.conf.py"))


def test_grpc_without_its_package_stops_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flask_server.runtime.preload._models_file", None)
    monkeypatch.setenv("GATEWAY_SERVING_URL", "grpc://127.0.0.1:8500")
    monkeypatch.setitem(sys.modules, "grpc", None)

    with pytest.raises(SystemExit, match="asked over gRPC, but grpcio is not installed"):
        runpy.run_path(str(ROOT / "flask_server/gunicorn.conf.py"))


def post(url: str, data: bytes | Iterator[bytes], kind: str) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(url, data=data, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("path", ["/imageclassifier/predict/", "/models/toy/predict", "/nowhere"])
def test_caller_of_200_megabytes_sees_the_413(gateway: str, path: str) -> None:
    status, problem = post(f"{gateway}{path}", bytes(200_000_000), "application/octet-stream")

    assert (status, problem["code"]) == (413, "body_too_large")
    assert problem["detail"] == (
        "The body has 200000000 bytes; at most 33554432 bytes are allowed."
    )


def test_body_without_length_is_bounded_too(gateway: str) -> None:
    chunks = (bytes(1_000_000) for _ in range(50))

    status, problem = post(f"{gateway}/models/toy/predict", chunks, "image/png")

    assert (status, problem["code"]) == (413, "body_too_large")


def test_chunked_picture_is_read(gateway: str) -> None:
    picture = draw(size=(64, 64))
    chunks = (picture[i : i + 1000] for i in range(0, len(picture), 1000))

    status, _ = post(f"{gateway}/models/toy/predict", chunks, "image/png")

    assert status == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/models/toy/predict", 400), ("/healthz", 405), ("/nowhere", 404)]
)
def test_malformed_chunks_are_the_callers_mistake(gateway: str, path: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2])), 60) as caller:
        caller.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n".encode()
        )
        answer = b"".join(iter(lambda: caller.recv(65536), b""))

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        pytest.param(b"secret\r\n\r\n", 400, "InvalidRequestLine", id="no request line"),
        pytest.param(b"GET / HTTP/1.1\r\nX-API-Key secret\r\n\r\n", 400, "Header", id="no colon"),
        pytest.param(b"GET /" + b"secret" * 2000, 414, "longer than 8190 bytes", id="long line"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"A: secret\r\n" * 200 + b"\r\n", 431, "at most 100", id="many"
        ),
    ],
)
def test_what_is_no_http_is_refused_in_our_form(
    gateway: str, sent: bytes, status: int, said: str
) -> None:
    with socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2])), 60) as caller:
        caller.sendall(sent)
        answer = HTTPResponse(caller)
        answer.begin()
        problem = json.loads(answer.read())

    assert (answer.status, problem["code"]) == (status, "bad_request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Request-ID"] == problem["request_id"]
    assert said in problem["detail"]
    assert "secret" not in problem["detail"]


@pytest.mark.parametrize("codings", ["gzip, chunked", "deflate, chunked", "br, chunked"])
def test_a_coded_body_is_refused(gateway: str, codings: str) -> None:
    with socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2])), 60) as caller:
        caller.sendall(
            b"POST /models/toy/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            + f"Transfer-Encoding: {codings}\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode()
        )
        answer = HTTPResponse(caller)
        answer.begin()
        problem = json.loads(answer.read())

    assert (answer.status, problem["code"]) == (501, "bad_request")
    assert problem["detail"] == "The transfer coding is not supported; allowed is chunked."


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("SCRIPT_NAME", "/x"),
        ("Script_Name", "/x"),
        ("PATH_INFO", "/metrics"),
        ("Script-Name", "/x"),
    ],
)
def test_no_header_changes_the_path(gateway: str, name: str, prefix: str) -> None:
    request = urllib.request.Request(f"{gateway}/x/metrics", headers={name: prefix})

    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        urllib.request.urlopen(request, timeout=60)
    error.value.close()


def test_refusal_after_an_unread_body_reaches_the_caller(gateway: str) -> None:
    status, problem = post(f"{gateway}/nowhere", bytes(20_000_000), "text/plain")

    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize("model", [None, "toy"])
def test_sample_request_prints_pretty_json(
    gateway: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str | None
) -> None:
    picture = tmp_path / "white.png"
    picture.write_bytes(flat("white"))
    arguments = ["-i", str(picture), "--url", gateway, *(["--model", model] if model else [])]

    assert flask_sample_request.main(arguments) == 0

    printed = capsys.readouterr().out
    assert "light" in printed
    assert "\n  " in printed


def test_sample_request_says_what_went_wrong(
    gateway: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "text.png"
    picture.write_text("no picture")

    assert flask_sample_request.main(["-i", str(picture), "--url", gateway]) == 1
    assert "unsupported_image" in capsys.readouterr().out
    assert flask_sample_request.main(["-i", str(tmp_path / "none.png")]) == 1
    assert "none.png" in capsys.readouterr().err
    assert flask_sample_request.main(["-i", str(picture), "--url", "http://127.0.0.1:9"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"GATEWAY_DEADLINE": "3"}, "GATEWAY_DEADLINE is no setting"),
        ({"GATEWAY_WORKERS": "many"}, "GATEWAY_WORKERS='many' is not allowed"),
        ({"GATEWAY_MODELS_FILE": "/no/such/models.toml"}, "/no/such/models.toml cannot be read"),
    ],
)
def test_bad_setting_stops_the_start_with_one_sentence(environ: dict[str, str], said: str) -> None:
    with start(free_port(), environ) as process:
        _, log = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said in log.decode()
    assert "Traceback" not in log.decode()


def test_gateway_never_loads_tensorflow() -> None:
    code = (
        "import sys; from flask_server.app import close_app, create_app;"
        "close_app(create_app()); sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
