from __future__ import annotations

import os
import signal

import pytest

from orchestrator.command_queue import (
    RESTART_SIGNALS,
    Action,
    Command,
    CommandQueue,
    signals_as_commands,
)


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (signal.SIGINT, Command(Action.INTERRUPT)),
        (signal.SIGTERM, Command(Action.STOP)),
        (signal.SIGHUP, Command(Action.STOP)),
        (RESTART_SIGNALS[0], Command(Action.RESTART, "serving")),
        (RESTART_SIGNALS[1], Command(Action.RESTART, "gateway")),
    ],
)
def test_a_signal_becomes_a_command(number: signal.Signals, command: Command) -> None:
    commands = CommandQueue()

    with signals_as_commands(commands, ["serving", "gateway"]):
        os.kill(os.getpid(), number)

        assert commands.get(1) == command


def test_no_command_in_time_is_none() -> None:
    assert CommandQueue().get(0.01) is None


def test_the_old_handlers_come_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *RESTART_SIGNALS)
    before = list(map(signal.getsignal, numbers))

    with signals_as_commands(CommandQueue(), ["serving", "gateway"]):
        assert list(map(signal.getsignal, numbers)) != before

    assert list(map(signal.getsignal, numbers)) == before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    commands = CommandQueue()

    with signals_as_commands(commands, []):
        os.kill(os.getpid(), signal.SIGHUP)

        assert commands.get(0.05) is None
    signal.signal(signal.SIGHUP, before)
