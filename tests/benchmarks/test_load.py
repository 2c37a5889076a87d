"""The load generator tells right answers from wrong, refused and missing ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.load import LoadError, Target, load, read_result
from benchmarks.subject import CLASS_ID
from tests.listening import listening

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

FIRST, SECOND = "n00000001", "n00000002"


class Answers(BaseHTTPRequestHandler):
    """Sees in each picture what is written on it; two words have a meaning of their own."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        seen = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = f'{{"predictions": [{{"class_id": "{seen}"}}]}}'.encode()
        self.send_response(503 if seen == "busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    http.daemon_threads = True
    with listening(http) as url:
        yield f"{url}/"


def questions(folder: Path, *pairs: tuple[str, str]) -> Path:
    path = folder / "questions.txt"
    path.write_text("".join(f"{expected}\t{body}\n" for expected, body in pairs))
    return path


def asked(path: Path, connections: int = 2) -> dict[str, float]:
    with server() as url:
        return load(Target(url, path, "text/plain", CLASS_ID), connections, 1)


@needs_wrk
def test_each_answer_is_held_against_its_own_question(tmp_path: Path) -> None:
    result = asked(questions(tmp_path, (FIRST, FIRST), (SECOND, SECOND)))

    assert result["answers"] > 10
    assert (result["wrong"], result["refused"], result["broken"]) == (0, 0, 0)
    assert result["requests_per_s"] == pytest.approx(result["answers"] / result["seconds"])


@needs_wrk
def test_answers_in_the_wrong_order_are_wrong(tmp_path: Path) -> None:
    result = asked(questions(tmp_path, (FIRST, SECOND), (SECOND, FIRST)))

    assert result["wrong"] == result["answers"] > 10
    assert result["requests_per_s"] == 0


@needs_wrk
def test_a_refusal_is_no_answer(tmp_path: Path) -> None:
    result = asked(questions(tmp_path, (FIRST, FIRST), (SECOND, "busy")), connections=1)

    assert abs(result["refused"] - result["answers"]) <= 1
    assert result["wrong"] == 0


def test_a_load_generator_without_result_is_an_error() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        read_result("", "unable to connect to 127.0.0.1")


def test_wrong_answers_are_no_throughput() -> None:
    result = read_result('chatter\nRESULT {"seconds": 2.0, "answers": 10, "wrong": 4}')

    assert result["requests_per_s"] == 3.0
