from __future__ import annotations

import time

import pytest

from flask_server.access.local_counts import LocalCounts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(clock: Clock) -> LocalCounts:
    return LocalCounts(clock=clock)


def test_a_window_starts_with_its_first_request(counts: LocalCounts, clock: Clock) -> None:
    found = [counts.incr("a", 60)]
    for later_s in (59, 1, 59):
        clock.now += later_s
        found.append(counts.incr("a", 60))

    assert found == [1, 2, 1, 2]


def test_each_key_has_a_count(counts: LocalCounts) -> None:
    counts.incr("a", 60, amount=3)
    counts.incr("b", 60)

    assert [counts.get(key) for key in "abc"] == [3, 1, 0]
    counts.clear("a")
    assert counts.get("a") == 0
    assert counts.reset() == 1


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_the_time_of_day_may_jump(
    counts: LocalCounts, clock: Clock, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    counts.incr("a", 60)
    jumped = time.time() + jump_s
    monkeypatch.setattr(time, "time", lambda: jumped)

    assert counts.get("a") == 1
    assert counts.get_expiry("a") == jumped + 60
    clock.now += 60
    assert counts.get("a") == 0
    assert counts.get_expiry("a") == jumped


def test_expired_windows_are_forgotten(counts: LocalCounts, clock: Clock) -> None:
    for key in "abc":
        counts.incr(key, 60)
    clock.now += 60

    counts.incr("d", 60)

    assert counts.reset() == 1
