"""A TCP proxy between gateway and Serving that breaks the responses on demand."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum


class Ending(Enum):
    """What happens to a connection once a response has been sent on."""

    NONE = "none"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"
    """Nothing of this connection is sent on any more, also after the fault: it is half-open."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the bytes of responses."""

    name: str
    delay_s: float = 0.0
    share: float = 1.0
    """Share of each piece of a response that is sent on."""

    is_garbage: bool = False
    """Send as many random bytes instead."""

    ending: Ending = Ending.NONE


NO_FAULT = Fault("none")


class _Connection:
    """A connection of the gateway, and the one to Serving that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, serving: asyncio.StreamWriter) -> None:
        self.client, self.serving = client, serving
        self.is_silent = False

    def close(self) -> None:
        self.client.close()
        self.serving.close()

    def reset(self) -> None:
        """Break the connection off with RST."""
        raw = self.client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()
        self.serving.close()

    def respond(self, data: bytes, ending: Ending) -> None:
        if self.client.is_closing():
            return
        self.client.write(data)
        if ending is Ending.CLOSE:
            self.close()
        elif ending is Ending.RESET:
            self.reset()


class FaultyLink:
    """The proxy; ``fault`` may be set at any time and applies to all connections."""

    def __init__(self, serving_port: int) -> None:
        self.fault = NO_FAULT
        self.port = 0
        self._serving_port = serving_port
        self._random = random.Random(20261128)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until one side closes it."""
        try:
            from_serving, to_serving = await asyncio.open_connection(
                "127.0.0.1", self._serving_port
            )
        except OSError:
            writer.close()
            return
        connection = _Connection(writer, to_serving)
        with suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(reader, connection))
                group.create_task(self._responses(from_serving, connection))

    async def _requests(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                connection.is_silent |= self.fault.ending is Ending.SILENCE
                if not connection.is_silent:
                    connection.serving.write(data)
        connection.close()

    async def _responses(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await reader.read(65536):
                fault = self.fault
                connection.is_silent |= fault.ending is Ending.SILENCE
                if not connection.is_silent:
                    changed = self._changed(data, fault)
                    loop.call_later(fault.delay_s, connection.respond, changed, fault.ending)
        if not connection.is_silent:
            loop.call_later(self.fault.delay_s, connection.close)

    def _changed(self, data: bytes, fault: Fault) -> bytes:
        sent = data[: int(len(data) * fault.share)]
        return self._random.randbytes(len(sent)) if fault.is_garbage else sent


@contextmanager
def faulty_link(serving_port: int) -> Iterator[FaultyLink]:
    """Run a proxy in a thread until the block ends."""
    link, loop, stop = FaultyLink(serving_port), asyncio.new_event_loop(), asyncio.Event()
    started = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
        link.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
