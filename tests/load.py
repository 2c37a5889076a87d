"""Clients that send one request after the other over persistent connections."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from tests.waiting import eventually

CLIENTS = 16
#: Pause of a client after a request without a response, such as a refused connection.
_PAUSE_S = 0.01


@dataclass(frozen=True)
class Response:
    """One response and when it arrived."""

    at: float
    status: int
    body: bytes
    content_type: str
    took_s: float


class Load:
    """The clients, their responses, and the errors of requests without a response."""

    def __init__(
        self,
        port: int,
        path: str,
        body: bytes,
        content_type: str = "text/plain",
        *,
        clients: int = CLIENTS,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.port = port
        """May be set at any time; clients use it for their next connection."""

        self._clients = clients
        self._path = path
        self._body = body
        self._headers = {"Content-Type": content_type, **headers}
        self._stop = threading.Event()
        self.responses: list[Response] = []
        self.errors: list[str] = []
        self.last_error_at = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the clients busy inside the block."""
        clients = [threading.Thread(target=self._client) for _ in range(self._clients)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._stop.set()
            for client in clients:
                client.join()

    def wait_for(self, more: int) -> None:
        """Wait for so many further responses."""
        goal = len(self.responses) + more
        assert eventually(lambda: len(self.responses) >= goal), self.failures()

    def failures(self) -> list[str]:
        """Return the errors, and the responses that are no success."""
        bad = [each for each in self.responses if each.status != 200]
        return [*self.errors, *(f"{each.status} {each.body[:200]!r}" for each in bad)]

    def _client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            try:
                self.responses.append(self._post(connection))
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                self.last_error_at = time.monotonic()
                connection.close()
                time.sleep(_PAUSE_S)
        connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> Response:
        began = time.monotonic()
        connection.port = self.port
        connection.request("POST", self._path, body=self._body, headers=self._headers)
        response = connection.getresponse()
        body = response.read()
        kind = response.getheader("Content-Type", "")
        now = time.monotonic()
        return Response(now, response.status, body, kind, now - began)
