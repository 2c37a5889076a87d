"""Settings that every scenario receives: durations, numbers of rounds, and the test data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import fixtures
from benchmarks.figures import Json
from benchmarks.fixtures import Fixture

#: Minimum number of answers per connection in a measurement of throughput, if there is time.
MIN_ANSWERS_PER_CONNECTION = 4
#: Longest measurement of throughput.
MAX_WINDOW_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Settings of one run of the benchmark."""

    seconds: float = 4
    """Minimum duration of one measurement."""

    rounds: int = 3
    """Number of measurements of each system; every round measures all systems once."""

    answers: int = 256
    """Minimum number of answers in a measurement of throughput, if there is time.

    Most systems answer batches of eight, so a short measurement gains or loses a batch by chance.
    """

    warm_up_s: float = 3
    """Duration of the load before the first measurement."""

    def window_s(self, connections: int, pace: float) -> float:
        """Return the duration of a measurement; ``pace`` is the last throughput in answers/s."""
        answers = max(self.answers, MIN_ANSWERS_PER_CONNECTION * connections)
        return min(MAX_WINDOW_S, max(self.seconds, answers / max(pace, 1)))

    def fixture(self, model: str) -> Fixture:
        """Return a model with its pictures and the expected answers."""
        return fixtures.load(model)

    def say(self, text: str) -> None:
        """Print an intermediate result."""
        print(f"  {text}", flush=True)


SHORT = Bench(seconds=2, rounds=1, answers=32, warm_up_s=1)

Scenario = Callable[[Bench], Json]
