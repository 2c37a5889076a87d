from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.probe import BackgroundProbe, any_status, ask, first, missing_200, status_200
from orchestrator.problem import Problem
from tests.listening import listening
from tests.running import free_port
from tests.waiting import eventually


class Handler(BaseHTTPRequestHandler):
    """Answers the status that the path names; with the query ``held`` when the test allows it."""

    allowed: threading.Semaphore

    def do_GET(self) -> None:
        status, _, query = self.path.lstrip("/").partition("?")
        if query == "held":
            self.allowed.acquire(timeout=60)
        self.send_response(int(status))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """The number of requests for ``held`` that are answered."""
    semaphore = threading.Semaphore(0)
    monkeypatch.setattr(Handler, "allowed", semaphore, raising=False)
    yield semaphore
    semaphore.release(10)


@pytest.fixture
def url(allowed: threading.Semaphore) -> Iterator[str]:
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


def test_any_answer_is_given_back(url: str) -> None:
    answer = ask(f"{url}/404")

    assert (answer.status, answer.body) == (404, b"hi")


def test_no_answer_has_no_status() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}/200").status is None


def test_an_answer_that_is_no_http_has_no_status() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=speak_another_protocol, args=(listener,)).start()

        assert ask(f"http://127.0.0.1:{listener.getsockname()[1]}/").status is None


def speak_another_protocol(listener: socket.socket) -> None:
    caller, _ = listener.accept()
    with caller:
        caller.sendall(b"220 smtp\r\n")


def test_a_proxy_of_the_environment_is_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert ask(f"{url}/200").status == 200


def test_what_is_missing_is_said_with_the_url(url: str) -> None:
    assert missing_200(f"{url}/200") is None
    assert missing_200(f"{url}/503") == Problem(f"{url}/503 answers 503")
    assert "does not answer" in str(missing_200(f"http://127.0.0.1:{free_port()}/"))


def test_first_asks_no_further() -> None:
    asked: list[Problem | None] = []

    def probes() -> Iterator[Problem | None]:
        for problem in (None, Problem("cold"), Problem("never asked")):
            asked.append(problem)
            yield problem

    assert first(probes()) == Problem("cold")
    assert asked == [None, Problem("cold")]


def test_first_of_no_problems_is_none() -> None:
    assert first([None, None]) is None


def test_a_background_probe_does_not_wait(url: str, allowed: threading.Semaphore) -> None:
    probe = BackgroundProbe(f"{url}/200?held", accept=status_200, timeout_s=60)

    probe()
    assert "has not answered for" in str(probe())

    allowed.release()
    assert eventually(lambda: probe() is None)


def test_a_good_answer_is_reported_once(url: str, allowed: threading.Semaphore) -> None:
    probe = BackgroundProbe(f"{url}/200?held", accept=status_200, timeout_s=60)
    allowed.release()
    assert eventually(lambda: probe() is None)

    assert probe() is not None


def test_a_background_probe_goes_on_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    probe = BackgroundProbe("http://127.0.0.1:1/", accept=status_200, timeout_s=60)
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert "not asked yet" in str(probe())
    assert "Connection refused" in str(probe())


@pytest.mark.parametrize(("status", "well"), [(200, True), (204, False), (503, False)])
def test_what_a_probe_accepts(url: str, status: int, well: bool) -> None:
    strict = BackgroundProbe(f"{url}/{status}", accept=status_200, timeout_s=60)
    lax = BackgroundProbe(f"{url}/{status}", accept=any_status, timeout_s=60)
    strict()

    assert eventually(lambda: lax() is None)
    assert eventually(
        lambda: strict() == (None if well else Problem(f"{url}/{status} answers {status}"))
    )


def test_a_silent_server_is_never_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = BackgroundProbe(
            f"http://127.0.0.1:{listener.getsockname()[1]}/", accept=any_status, timeout_s=0.1
        )
        probe()

        assert eventually(lambda: "timed out" in str(probe()))
