"""The load generator distinguishes right, wrong, refused and missing answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.load import LoadError, LoadTarget, load, read_result
from benchmarks.system_under_test import CLASS_ID
from tests.listening import listening

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

FIRST, SECOND = "n00000001", "n00000002"


class Answers(BaseHTTPRequestHandler):
    """Answers with the request's body as the class; the body ``busy`` gets a 503."""

    protocol_version = "HTTP/1.1"
    given = 0

    def do_POST(self) -> None:
        seen = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = f'{{"predictions": [{{"class_id": "{seen}"}}]}}'.encode()
        self.send_response(503 if seen == "busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        Answers.given += 1

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def server() -> Iterator[str]:
    Answers.given = 0
    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    http.daemon_threads = True
    with listening(http) as url:
        yield f"{url}/"


def requests_file(folder: Path, *pairs: tuple[str, str]) -> Path:
    path = folder / "requests.txt"
    path.write_text("".join(f"{expected}\t{body}\n" for expected, body in pairs))
    return path


def asked(path: Path, connections: int = 2) -> dict[str, float]:
    with server() as url:
        return loaded(LoadTarget(url, path, "text/plain", CLASS_ID), connections, 1)


def loaded(
    target: LoadTarget,
    connections: int,
    seconds: float,
    at_edges: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return the result of a load; wrk gets more time to connect where it has come too late."""
    with pytest.MonkeyPatch.context() as patch:
        for lead_s in (1.0, 5.0):
            patch.setattr("benchmarks.load.LEAD_S", lead_s)
            with suppress(LoadError):
                return load(target, connections, seconds, at_edges)
        patch.setattr("benchmarks.load.LEAD_S", 25.0)
        return load(target, connections, seconds, at_edges)


@needs_wrk
def test_each_answer_is_compared_with_its_own_request(tmp_path: Path) -> None:
    result = asked(requests_file(tmp_path, (FIRST, FIRST), (SECOND, SECOND)))

    assert result["answers"] > 10
    assert (result["wrong"], result["refused"], result["broken"]) == (0, 0, 0)
    assert result["requests_per_s"] == pytest.approx(result["answers"] / result["seconds"])


@needs_wrk
def test_answers_in_the_wrong_order_are_wrong(tmp_path: Path) -> None:
    result = asked(requests_file(tmp_path, (FIRST, SECOND), (SECOND, FIRST)))

    assert result["wrong"] == result["answers"] > 10
    assert result["requests_per_s"] == 0


@needs_wrk
def test_a_refusal_is_no_answer(tmp_path: Path) -> None:
    result = asked(requests_file(tmp_path, (FIRST, FIRST), (SECOND, "busy")), connections=1)

    assert abs(result["refused"] - result["answers"]) <= 1
    assert result["wrong"] == 0


@needs_wrk
def test_only_answers_between_the_edges_count(tmp_path: Path) -> None:
    """wrk's first connections send requests long before its last ones."""
    path = requests_file(tmp_path, (FIRST, FIRST))
    given: list[int] = []
    with server() as url:
        target = LoadTarget(url, path, "text/plain", CLASS_ID)
        result = loaded(target, 2, 0.5, lambda: given.append(Answers.given))
        in_all = Answers.given

    before, after = given[-2:]
    assert 0 < before < after
    assert 0 < result["answers"] < in_all
    assert result["seconds"] == pytest.approx(0.5)


def read(output: str) -> dict[str, float]:
    return read_result(output, begin=100, end=102)


def test_a_load_generator_without_result_is_an_error() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        read_result("", 100, 102, "unable to connect to 127.0.0.1")


def test_a_connection_that_came_late_is_an_error() -> None:
    with pytest.raises(LoadError, match=r"came 0\.5 s after"):
        read('RESULT {"ready": 100.5, "wrong": 0, "took_ms": [1]}')


def test_wrong_answers_are_no_throughput() -> None:
    result = read('chatter\nRESULT {"ready": 99, "wrong": 4, "took_ms": [1,1,1,1,1,1,1,1,1,1]}')

    assert (result["answers"], result["requests_per_s"]) == (10, 3.0)


def test_latencies_are_percentiles_of_all_answers() -> None:
    listed = ",".join(map(str, range(200, 0, -1)))

    result = read(f'RESULT {{"ready": 99, "wrong": 0, "took_ms": [{listed}]}}')

    assert (result["p50_ms"], result["p99_ms"], result["max_ms"]) == (100, 198, 200)


def test_a_system_that_never_answered_is_not_the_fastest() -> None:
    assert read('RESULT {"ready": 99, "wrong": 0, "took_ms": []}')["p50_ms"] >= 60_000
