"""Send GET requests to the children and judge the responses; proxies are never used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from orchestrator.problem import Problem

_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Answer:
    """An HTTP response, or the reason why there is none."""

    status: int | None
    """HTTP status; None when there was no response."""

    body: bytes = b""
    error: str = ""
    """Why there was no response."""


def ask(url: str, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Send a GET request; network errors are part of the result and never raised.

    With ``https://`` the certificate of the server must be signed by one of the system's, or of the
    file that the variable ``SSL_CERT_FILE`` names.
    """
    parts = urlsplit(url)
    protocol = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    port = parts.port or protocol.default_port
    connection = protocol(parts.hostname or "", port, timeout=timeout_s)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl() or "/")
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, HTTPException) as error:
        return Answer(None, error=str(error))
    finally:
        connection.close()


def missing_200(url: str) -> Problem | None:
    """Return None when the URL answers 200, else what it answers."""
    answer = ask(url)
    if answer.status == 200:
        return None
    if answer.status is None:
        return Problem(f"{url} does not answer")
    return Problem(f"{url} answers {answer.status}")


def first(problems: Iterable[Problem | None]) -> Problem | None:
    """Return the first problem, without asking for the ones after it."""
    return next(filter(None, problems), None)


class BackgroundProbe:
    """A probe that asks in a thread, so that a slow or hung server does not hold up the caller.

    Each call judges the response that has arrived since the last one and starts the next request. A
    good response is reported once, so that an old one is never taken for a new one.
    """

    def __init__(self, url: str, *, accept: Callable[[int | None], bool], timeout_s: float) -> None:
        self._url = url
        self._accept = accept
        self._timeout_s = timeout_s
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._answer = Answer(None, error="not asked yet")

    def __call__(self) -> Problem | None:
        """Return None when an accepted response has arrived since the last call."""
        if self._thread is not None and self._thread.is_alive():
            waited_s = time.monotonic() - self._asked_at
            return Problem(f"{self._url} has not answered for {waited_s:.0f} s")
        answer = self._answer
        self._answer = Answer(None, error="no response yet")
        self._start()
        if self._accept(answer.status):
            return None
        if answer.status is None:
            return Problem(f"{self._url} does not answer: {answer.error}")
        return Problem(f"{self._url} answers {answer.status}")

    def _start(self) -> None:
        """Start the next request; where no thread can be started, wait briefly for its response."""
        self._asked_at = time.monotonic()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the limit of processes is reached
            self._thread = None
            self._answer = ask(self._url)

    def _ask(self) -> None:
        self._answer = ask(self._url, self._timeout_s)


def any_status(status: int | None) -> bool:
    """Accept every response."""
    return status is not None


def status_200(status: int | None) -> bool:
    """Accept a response with status 200 only."""
    return status == 200
