"""Queue the commands for the supervisor that arrive as signals or from the keyboard.

Signal handlers and the keyboard thread only put commands into the queue. The supervisor takes at
most one command per step, so that commands never interrupt a decision.
"""

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

#: The first signal restarts the first child, the second signal the second child.
RESTART_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
STOP_WORDS = frozenset({"exit", "q", "quit"})
PROMPT = "Type exit (or q) and press Enter, or press Ctrl-C, to stop: "
_READ_RETRY_S = 1.0


class Action(Enum):
    """What a command asks the supervisor to do."""

    STOP = auto()
    """Stop all children in order, each after its requests have been answered."""

    INTERRUPT = auto()
    """Stop all children in order; while they are being stopped already, kill them at once."""

    RESTART = auto()
    """Restart one child; one that can reload does so without losing requests."""


@dataclass(frozen=True)
class Command:
    """An action and, for ``RESTART``, the name of the child."""

    action: Action
    child: str | None = None


class CommandQueue:
    """A first-in, first-out queue of commands."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def put(self, command: Command) -> None:
        """Add a command; safe in signal handlers and in any thread."""
        self._queue.put(command)

    def get(self, timeout_s: float) -> Command | None:
        """Return the oldest command, or None when none arrives in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


@contextmanager
def signals_as_commands(commands: CommandQueue, children: Sequence[str]) -> Iterator[None]:
    """Turn signals into commands inside the block; restore the previous handlers after it."""
    by_signal = {
        signal.SIGINT: Command(Action.INTERRUPT),
        signal.SIGTERM: Command(Action.STOP),
        signal.SIGHUP: Command(Action.STOP),
    } | {
        number: Command(Action.RESTART, name)
        for number, name in zip(RESTART_SIGNALS, children, strict=False)
    }
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # started under nohup
        del by_signal[signal.SIGHUP]
    previous = {
        number: signal.signal(number, lambda *_, command=command: commands.put(command))
        for number, command in by_signal.items()
    }
    # As a background job of a shell, reading the terminal must fail instead of stopping us.
    previous[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def read_keyboard(commands: CommandQueue, prompt: Callable[[], None]) -> None:
    """Start a daemon thread that queues a stop once the user types one of ``STOP_WORDS``."""
    threading.Thread(target=_read_keyboard, args=(commands, prompt), daemon=True).start()


def _read_keyboard(commands: CommandQueue, prompt: Callable[[], None]) -> None:
    # os.read, since a thread blocked in sys.stdin would hold its lock when the interpreter exits.
    on_terminal = os.isatty(0)
    while True:
        try:
            data = os.read(0, 1024)
        except OSError:  # another job of the shell is in the foreground of the terminal
            time.sleep(_READ_RETRY_S)
            continue
        words = {word.strip().lower() for word in data.decode(errors="replace").splitlines()}
        if words & STOP_WORDS or (on_terminal and not data):
            commands.put(Command(Action.STOP))
        if not data:
            return
        prompt()
