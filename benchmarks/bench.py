"""What every scenario is given: how long and how often to measure, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import fixtures
from benchmarks.figures import Json
from benchmarks.fixtures import Fixture

#: How many answers each connection gets while throughput is measured, if there is time.
ANSWERS_EACH = 4
MOST_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """One run of the benchmark."""

    seconds: float = 4
    """How long one measurement takes."""

    rounds: int = 3
    """How often each system is measured; every round measures all of them."""

    answers: int = 256
    """How many answers a measurement of throughput shall hold, if there is time.

    Most systems answer eight at a time: a short window has one batch more or less by chance.
    """

    warm_up_s: float = 3

    def window_s(self, connections: int, pace: float) -> float:
        """Return how long to measure a system that gave ``pace`` answers a second before."""
        answers = max(self.answers, ANSWERS_EACH * connections)
        return min(MOST_S, max(self.seconds, answers / max(pace, 1)))

    def fixture(self, model: str) -> Fixture:
        """Return a model with its pictures and the right answers."""
        return fixtures.load(model)

    def say(self, text: str) -> None:
        """Tell the person who waits what has been measured."""
        print(f"  {text}", flush=True)


SHORT = Bench(seconds=2, rounds=1, answers=32, warm_up_s=1)

Scenario = Callable[[Bench], Json]
