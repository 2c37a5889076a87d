"""Ask a URL how it is. Plain sockets, no proxy: the one asked is a child on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 stands for no answer, then ``body`` says why."""

    status: int
    body: bytes


def ask(url: str, timeout_s: float = _TIMEOUT_S) -> Answer:
    """GET the URL; never raises."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl() or "/")
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, HTTPException) as error:
        return Answer(0, str(error).encode())
    finally:
        connection.close()


def missing_200(url: str) -> str:
    """Return the empty string when the URL answers 200, else what it answers instead."""
    answer = ask(url)
    if answer.status == 200:
        return ""
    return f"{url} answers {answer.status}" if answer.status else f"{url} does not answer"


def first(missing: Iterable[str]) -> str:
    """Return the first text that says that something is missing, asking no further."""
    return next(filter(None, missing), "")


class BackgroundProbe:
    """Asks in a thread: a hung child does not hold up the loop, a busy one may take its time.

    A good answer is reported once, so that an old one never passes for a new one.
    """

    def __init__(self, url: str, *, accept: Callable[[int], bool], timeout_s: float) -> None:
        self._url = url
        self._accept = accept
        self._timeout_s = timeout_s
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._answer = Answer(0, b"not asked yet")

    def __call__(self) -> str:
        """Return the empty string when an answer has come since the last call, else what is so."""
        if self._thread is not None and self._thread.is_alive():
            return f"{self._url} has been asked {time.monotonic() - self._asked_at:.0f} s ago"
        answer = self._answer
        self._answer = Answer(0, b"")
        self._asked_at = time.monotonic()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        if self._accept(answer.status):
            return ""
        return f"{self._url} answers {answer.status or answer.body.decode()}"

    def _ask(self) -> None:
        self._answer = ask(self._url, self._timeout_s)


def any_status(status: int) -> bool:
    """Accept any answer."""
    return status > 0


def status_200(status: int) -> bool:
    """Accept nothing but 200."""
    return status == 200
