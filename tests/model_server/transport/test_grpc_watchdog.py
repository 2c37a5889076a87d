from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from model_server.byte_budget import ByteBudget
from model_server.transport.grpc_watchdog import Watchdog, resident_bytes, to_cancel
from tests.waiting import eventually


def test_nothing_is_cancelled_while_there_are_threads_and_memory() -> None:
    assert to_cancel([9.0, 8.0, 0.2], is_short_of_threads=False, is_short_of_memory=False) == 0


def test_slow_messages_are_cancelled_when_threads_are_short() -> None:
    assert to_cancel([9.0, 6.0, 4.0], is_short_of_threads=True, is_short_of_memory=False) == 2


def test_the_older_half_is_cancelled_when_memory_is_short() -> None:
    assert to_cancel([9.0, 3.0, 2.0, 1.0], is_short_of_threads=False, is_short_of_memory=True) == 2
    assert to_cancel([1.0, 0.1], is_short_of_threads=False, is_short_of_memory=True) == 1
    assert to_cancel([0.1], is_short_of_threads=True, is_short_of_memory=True) == 0


def test_the_oldest_message_is_ended_in_need_of_memory() -> None:
    watchdog, cancelled = Watchdog(2, ByteBudget(-(1 << 50))), threading.Event()
    watchdog.start()

    with watchdog.arriving(cancelled.set):
        assert cancelled.wait(60)
    watchdog.stop()


def test_an_answer_that_nobody_takes_is_ended() -> None:
    watchdog, ended = Watchdog(2, ByteBudget(1 << 30)), threading.Event()
    over: list[Callable[[], None]] = []

    def when_over(callback: Callable[[], None]) -> bool:
        over.append(callback)
        return True

    watchdog.start()
    watchdog.expect_end(ended.set, when_over, size=-(10**9))
    assert ended.wait(60)
    watchdog.expect_end(ended.set, when_over, size=0)
    over[-1]()
    watchdog.stop()

    assert eventually(lambda: not watchdog._answered)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_the_process_is_known() -> None:
    assert resident_bytes() > 1 << 20
