"""Collect what people and signals ask for; handlers only post, the loop takes one per turn."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

#: The first child of the list is restarted by the first signal, and so on.
RESTART_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
STOP_WORDS = frozenset({"exit", "q", "quit"})
PROMPT = "Type exit (or q) and press Enter, or press Ctrl-C, to stop: "
_BACKGROUND_PAUSE_S = 1.0


class Order(Enum):
    """What a person or a signal can ask the loop for."""

    STOP = auto()
    """Stop all, each after what stands in front of it has drained."""

    INTERRUPT = auto()
    """The same; asked while stopping already, stop all at once."""

    RESTART = auto()
    """Restart one child, without a lost request where it can."""


@dataclass(frozen=True)
class Request:
    """An order, and for RESTART the name of the child it is about."""

    order: Order
    child: str = ""


class Inbox:
    """A queue of requests."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def post(self, request: Request) -> None:
        """Leave a request; callable from a signal handler and from any thread."""
        self._queue.put(request)

    def listen(self, timeout_s: float) -> Request | None:
        """Return the oldest request, or None when none comes in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


@contextmanager
def signals_post_to(inbox: Inbox, children: Sequence[str]) -> Iterator[None]:
    """Turn signals into requests inside the block; put the old handlers back after it."""
    meanings = {
        signal.SIGINT: Request(Order.INTERRUPT),
        signal.SIGTERM: Request(Order.STOP),
        signal.SIGHUP: Request(Order.STOP),
    } | {
        number: Request(Order.RESTART, name)
        for number, name in zip(RESTART_SIGNALS, children, strict=False)
    }
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup asked for it
        del meanings[signal.SIGHUP]
    before = {
        number: signal.signal(number, lambda *_, request=request: inbox.post(request))
        for number, request in meanings.items()
    }
    # In the background of a shell, reading the terminal shall fail, not stop us.
    before[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def read_words(inbox: Inbox, prompt: Callable[[], None]) -> None:
    """Post a stop request when a person types one; run in a daemon thread."""
    threading.Thread(target=_read_words, args=(inbox, prompt), daemon=True).start()


def _read_words(inbox: Inbox, prompt: Callable[[], None]) -> None:
    # Bytes by os.read: a thread inside sys.stdin would hold its lock at interpreter exit.
    on_terminal = os.isatty(0)
    while True:
        try:
            data = os.read(0, 1024)
        except OSError:  # a terminal whose foreground belongs to somebody else
            time.sleep(_BACKGROUND_PAUSE_S)
            continue
        words = {word.strip().lower() for word in data.decode(errors="replace").splitlines()}
        if words & STOP_WORDS or (on_terminal and not data):
            inbox.post(Request(Order.STOP))
        if not data:
            return
        prompt()
