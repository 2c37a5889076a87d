from __future__ import annotations

from flask_server.serving.breaker import Breaker


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, probe_s=1, clock=clock)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_the_circuit() -> None:
    breaker = broken(Clock())

    assert breaker.open
    assert not breaker.allows()


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker(failures=2, probe_s=1, clock=Clock())

    for _ in range(5):
        breaker.failed()
        breaker.succeeded()

    assert breaker.allows()


def test_one_probe_goes_out_per_probe_time() -> None:
    clock = Clock()
    breaker = broken(clock)

    clock.now += 1

    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_failed_probe_waits_again() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 1
    breaker.allows()

    breaker.failed()
    clock.now += 0.9

    assert not breaker.allows()


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 1
    breaker.allows()

    breaker.succeeded()

    assert not breaker.open
    assert all(breaker.allows() for _ in range(9))
