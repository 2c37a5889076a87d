"""Look up the addresses of a host within a time limit, which ``getaddrinfo`` does not have.

The look-up runs in a thread of its own. Callers that want the same host wait for the same look-up,
so a resolver that hangs holds one thread per host.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import Future

_lock = threading.Lock()
_running: dict[tuple[str, int], Future[list[str]]] = {}
os.register_at_fork(after_in_child=_running.clear)


def look_up(host: str, port: int, timeout: float) -> list[str]:
    """Return the numeric addresses of a host, the preferred one first.

    Raises TimeoutError, OSError if the name has no address, or MemoryError if the process may
    start no thread.
    """
    with _lock:
        future = _running.get((host, port))
        if future is None:
            future = _start(host, port)
    return future.result(timeout)


def _start(host: str, port: int) -> Future[list[str]]:
    future: Future[list[str]] = Future()
    thread = threading.Thread(
        target=_run, args=(host, port, future), name="name-lookup", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:
        raise MemoryError("no thread can be started to look up a name") from error
    # The thread removes it, and has to wait for the lock until it is there.
    _running[host, port] = future
    return future


def _run(host: str, port: int, future: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        future.set_result([str(address[0]) for *_, address in found])
    except Exception as error:
        future.set_exception(error)
    finally:
        with _lock:
            _running.pop((host, port), None)
