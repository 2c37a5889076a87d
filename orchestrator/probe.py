"""Ask a URL how it is. Plain sockets, no proxy: the one asked is a child on this machine."""

from __future__ import annotations

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


def silent(url: str) -> str:
    """Return the empty string when the URL answers at all, whatever it says."""
    answer = ask(url)
    return "" if answer.status else f"{url} does not answer: {answer.body.decode()}"
