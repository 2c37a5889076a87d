"""Clients that post one request after the other over kept connections, and what they got."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CLIENTS = 16


@dataclass(frozen=True)
class Answer:
    """One answer and when it was there."""

    at: float
    status: int
    body: bytes
    content_type: str


class Load:
    """The clients; a loss is a request that got no answer at all."""

    def __init__(self, port: int, path: str, body: bytes, content_type: str = "text/plain") -> None:
        self._port = port
        self._path = path
        self._body = body
        self._headers = {"Content-Type": content_type}
        self._over = threading.Event()
        self.answers: list[Answer] = []
        self.losses: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the clients busy inside the block."""
        clients = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._over.set()
            for client in clients:
                client.join()

    def _client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            try:
                self.answers.append(self._ask(connection))
            except (OSError, http.client.HTTPException) as error:
                self.losses.append(repr(error))
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> Answer:
        connection.request("POST", self._path, body=self._body, headers=self._headers)
        response = connection.getresponse()
        body = response.read()
        kind = response.getheader("Content-Type", "")
        return Answer(time.monotonic(), response.status, body, kind)
