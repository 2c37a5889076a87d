from __future__ import annotations

import os
import signal

import pytest

from orchestrator.inbox import RESTART_SIGNALS, Inbox, Order, Request, signals_post_to


@pytest.mark.parametrize(
    ("number", "request_"),
    [
        (signal.SIGINT, Request(Order.INTERRUPT)),
        (signal.SIGTERM, Request(Order.STOP)),
        (signal.SIGHUP, Request(Order.STOP)),
        (RESTART_SIGNALS[0], Request(Order.RESTART, "serving")),
        (RESTART_SIGNALS[1], Request(Order.RESTART, "gateway")),
    ],
)
def test_a_signal_becomes_a_request(number: signal.Signals, request_: Request) -> None:
    inbox = Inbox()

    with signals_post_to(inbox, ["serving", "gateway"]):
        os.kill(os.getpid(), number)

        assert inbox.listen(1) == request_


def test_no_request_in_time_is_none() -> None:
    assert Inbox().listen(0.01) is None


def test_the_old_handlers_come_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *RESTART_SIGNALS)
    before = list(map(signal.getsignal, numbers))

    with signals_post_to(Inbox(), ["serving", "gateway"]):
        assert list(map(signal.getsignal, numbers)) != before

    assert list(map(signal.getsignal, numbers)) == before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    inbox = Inbox()

    with signals_post_to(inbox, []):
        os.kill(os.getpid(), signal.SIGHUP)

        assert inbox.listen(0.05) is None
    signal.signal(signal.SIGHUP, before)
