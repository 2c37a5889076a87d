"""What every scenario is given: how long and how often to measure, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import fixtures
from benchmarks.figures import Json
from benchmarks.fixtures import Fixture


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """One run of the benchmark."""

    seconds: float = 4
    """How long one measurement takes."""

    rounds: int = 3
    """How often each system is measured; every round measures all of them."""

    warm_up_s: float = 3

    def fixture(self, model: str) -> Fixture:
        """Return a model with its pictures and the right answers."""
        return fixtures.load(model)

    def say(self, text: str) -> None:
        """Tell the person who waits what has been measured."""
        print(f"  {text}", flush=True)


SHORT = Bench(seconds=2, rounds=1, warm_up_s=1)

Scenario = Callable[[Bench], Json]
