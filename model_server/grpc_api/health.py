"""Answer gRPC health checks: SERVING while the server accepts calls, NOT_SERVING once it stops."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from model_server.errors import ModelServerError, NotFound
from model_server.grpc_api.messages import parsed
from model_server.transport.grpc_calls import Call, Method, Pool, Stream
from serving_api.messages import message

_SERVICE: Final = "/grpc.health.v1.Health"
_SERVING: Final = 1
_NOT_SERVING: Final = 2
_SERVICE_UNKNOWN: Final = 3

#: More calls than these are answered once and ended.
MAX_WATCHERS: Final = 256


class Health:
    """The health service; the state is the same for all services that exist."""

    def __init__(self, services: Collection[str]) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._state = _SERVING
        self._watchers: dict[Stream, None] = {}

    @property
    def methods(self) -> dict[str, Method]:
        """The methods of the service by path."""
        return {
            f"{_SERVICE}/Check": Method(self._check, Pool.SHORT),
            f"{_SERVICE}/Watch": Method(watcher=self._watch),
        }

    def drain(self) -> None:
        """Tell all watchers that the server stops, and end their calls."""
        with self._lock:
            self._state = _NOT_SERVING
            watchers, self._watchers = list(self._watchers), {}
        for stream in watchers:
            with suppress(Exception):  # the client may be gone
                self._send_state(stream)
                stream.end()

    def _check(self, call: Call) -> bytes:
        """Return the state of a service; the empty name stands for the server."""
        service = parsed("HealthCheckRequest", call.message).service
        if service not in self._services:
            raise NotFound("service name unknown")
        return self._answer(service)

    def _watch(self, stream: Stream) -> None:
        """Return the state of a service now and when it changes."""
        with self._lock:
            stays = self._state == _SERVING and len(self._watchers) < MAX_WATCHERS
            if stays:
                self._watchers[stream] = None
        self._send_state(stream)
        if not stays:
            stream.end()
        elif not stream.when_over(lambda: self._forget(stream)):
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        with self._lock:
            self._watchers.pop(stream, None)

    def _send_state(self, stream: Stream) -> None:
        try:
            service = parsed("HealthCheckRequest", stream.message).service
        except ModelServerError:
            service = None
        stream.send(self._answer(service))

    def _answer(self, service: str | None) -> bytes:
        state = self._state if service in self._services else _SERVICE_UNKNOWN
        return bytes(message("HealthCheckResponse")(status=state).SerializeToString())
