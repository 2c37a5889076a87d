"""Simulate requests that queue for processors, for Python's lock, for batches and for the engine.

A machine has the gateway and the embedded model server, as ``make run`` starts them. Its processors
are shared by all threads that can run, as an operating system shares them. The times of the work
are measured ones; how the work waits follows the code of the gateway's batcher.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

Then = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Processor milliseconds of one request, and how they vary."""

    python_ms: float
    """In the gateway, while it holds the lock of its interpreter."""

    image_ms: float
    """In the gateway, without the lock: decode and resize."""

    call_ms: float
    """In both servers for each call, whatever the size of its batch."""

    inference_ms: float
    """In the engine for each image of a call."""

    client_ms: float = 0.0
    """In the load generator, on the same processors."""

    spread: float = 0.3
    """Standard deviation of the gateway's work, as a share of its mean: images differ."""

    @property
    def full_batch_ms(self) -> float:
        """Processor milliseconds of both servers per request in full batches."""
        return self.python_ms + self.image_ms + self.call_ms / MAX_BATCH + self.inference_ms


#: ``MAX_BATCH`` and ``MIN_QUEUED`` of the gateway's batcher.
MAX_BATCH = 8
MIN_QUEUED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How many of what a machine has."""

    cores: int = 2
    workers: int = 1
    """Gateway workers, each with a Python interpreter and a batcher."""

    calls: int = 2
    """Calls to Serving that a worker has in flight at most."""


class Clock:
    """The events to come, in their order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Then]] = []
        self._numbers = count()

    def at(self, time: float, then: Then) -> None:
        """Call a function at a time."""
        heapq.heappush(self._events, (time, next(self._numbers), then))

    def run(self, until: float) -> None:
        """Run all events up to a time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, then = heapq.heappop(self._events)
            then()
        self.now = until


class Processors:
    """Processors that all threads share alike.

    A job with several threads counts as often. While there are more threads than processors, each
    is slower by the same factor, so that one virtual clock measures the progress of all of them.
    """

    def __init__(self, clock: Clock, cores: int) -> None:
        self._clock, self._cores = clock, cores
        self._progress, self._since = 0.0, 0.0
        self._threads = 0
        self._jobs: list[tuple[float, int, int, Then]] = []
        self._numbers = count()
        self._plan = 0

    def work(self, milliseconds: float, then: Then, threads: int = 1) -> None:
        """Do work in some threads, and call a function when it is done."""
        self._advance()
        end = self._progress + milliseconds / threads
        heapq.heappush(self._jobs, (end, next(self._numbers), threads, then))
        self._threads += threads
        self._schedule()

    def _speed(self) -> float:
        return min(1.0, self._cores / self._threads) if self._threads else 1.0

    def _advance(self) -> None:
        passed = self._clock.now - self._since
        self._progress += passed * self._speed()
        self._since = self._clock.now

    def _schedule(self) -> None:
        self._plan += 1
        plan, left = self._plan, max(0.0, self._jobs[0][0] - self._progress)
        self._clock.at(self._clock.now + left / self._speed(), lambda: self._finish(plan))

    def _finish(self, plan: int) -> None:
        if plan != self._plan:  # another job has come or gone meanwhile
            return
        self._advance()
        _, _, threads, then = heapq.heappop(self._jobs)
        self._threads -= threads
        then()
        if self._jobs and plan == self._plan:
            self._schedule()


class Lock:
    """A lock that any of those who wait may get next, as with Python's."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._held = False
        self._waiting: list[Then] = []

    def acquire(self, then: Then) -> None:
        """Call a function when the lock is its."""
        if self._held:
            self._waiting.append(then)
        else:
            self._held = True
            then()

    def release(self) -> None:
        """Give the lock to one of those who wait."""
        if not self._waiting:
            self._held = False
            return
        index = self._chance.randrange(len(self._waiting))
        self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
        self._waiting.pop()()


class Batcher:
    """The rule by which the gateway's ``RequestBatcher`` batches requests."""

    def __init__(self, calls: int, send: Callable[[int, Then], None]) -> None:
        self._calls, self._send = calls, send
        self._min_queued = max(1, MIN_QUEUED // calls)
        self._queue: list[Then] = []
        self._in_flight: list[int] = []

    def add(self, then: Then) -> None:
        """Queue a request; the function is called when its scores are there."""
        self._queue.append(then)
        self._start()

    def _start(self) -> None:
        while self._queue and self._may_send():
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            self._in_flight.append(len(batch))
            self._send(len(batch), lambda batch=batch: self._end(batch))  # type: ignore[misc]

    def _may_send(self) -> bool:
        free = len(self._in_flight) < self._calls
        return free and len(self._queue) >= min(self._min_queued, sum(self._in_flight))

    def _end(self, batch: Sequence[Then]) -> None:
        self._in_flight.remove(len(batch))
        self._start()
        for then in batch:
            then()


class Machine:
    """A machine with both servers."""

    def __init__(self, clock: Clock, costs: Costs, layout: Layout, chance: random.Random) -> None:
        self._costs, self._layout, self._chance = costs, layout, chance
        self.processors = Processors(clock, layout.cores)
        self._engine = Lock(chance)
        self._workers = [_Worker(self, layout.calls, chance) for _ in range(layout.workers)]
        self.in_flight = 0

    def serve(self, then: Then) -> None:
        """Answer a request, and call a function then."""
        self.in_flight += 1
        worker = min(self._workers, key=lambda worker: worker.in_flight)

        def done() -> None:
            self.in_flight -= 1
            worker.in_flight -= 1
            then()

        worker.serve(self._costs, self._varied(), done)

    def _varied(self) -> float:
        shape = 1 / self._costs.spread**2
        return self._chance.gammavariate(shape, 1 / shape)

    def call(self, images: int, then: Then) -> None:
        """Compute a batch: the engine takes one after another, with all processors."""
        work = self._costs.call_ms + images * self._costs.inference_ms

        def computed() -> None:
            self._engine.release()
            then()

        self._engine.acquire(
            lambda: self.processors.work(work, computed, threads=self._layout.cores)
        )


class _Worker:
    """A process of the gateway."""

    def __init__(self, machine: Machine, calls: int, chance: random.Random) -> None:
        self._machine = machine
        self._interpreter = Lock(chance)
        self._batcher = Batcher(calls, machine.call)
        self.in_flight = 0

    def serve(self, costs: Costs, factor: float, then: Then) -> None:
        self.in_flight += 1
        half_ms = costs.python_ms * factor / 2
        image_ms = costs.image_ms * factor
        processors = self._machine.processors
        self._python(
            half_ms,
            lambda: processors.work(
                image_ms, lambda: self._batcher.add(lambda: self._python(half_ms, then))
            ),
        )

    def _python(self, milliseconds: float, then: Then) -> None:
        def done() -> None:
            self._interpreter.release()
            then()

        self._interpreter.acquire(lambda: self._machine.processors.work(milliseconds, done))


@dataclass(slots=True)
class Outcome:
    """What clients see."""

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Requests answered per second."""
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency that this share of the requests did not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def closed(
    costs: Costs, layout: Layout, connections: int, seconds: float, seed: int = 1
) -> Outcome:
    """Simulate clients that send their next request after the answer, as the benchmark does."""
    clock, chance = Clock(), random.Random(seed)  # noqa: S311 (no secret)
    machine = Machine(clock, costs, layout, chance)
    lead_ms = 1000 * seconds / 4
    outcome = Outcome(seconds)

    def ask() -> None:
        begin = clock.now

        def answered() -> None:
            if clock.now >= lead_ms:
                outcome.latencies_ms.append(clock.now - begin)
            machine.processors.work(costs.client_ms, ask)

        machine.serve(answered)

    for number in range(connections):
        clock.at(number * 0.1, ask)
    clock.run(lead_ms + 1000 * seconds)
    return outcome


#: Chooses the machine of a request.
Balancer = Callable[[Sequence[Machine], random.Random], Machine]


def at_random(machines: Sequence[Machine], chance: random.Random) -> Machine:
    """Choose any machine, as DNS and hashes of connections do."""
    return machines[int(chance.random() * len(machines))]


def least_of_two(machines: Sequence[Machine], chance: random.Random) -> Machine:
    """Choose the less busy one of two machines, as a balancer does that knows its own calls."""
    first, second = at_random(machines, chance), at_random(machines, chance)
    return first if first.in_flight <= second.in_flight else second


def least(machines: Sequence[Machine], _: random.Random) -> Machine:
    """Choose the machine with the fewest requests in flight."""
    return min(machines, key=lambda machine: machine.in_flight)


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Requests of clients that do not wait for each other."""

    per_s: float
    seconds: float
    seed: int = 1


def cluster(
    costs: Costs, layout: Layout, machines: int, traffic: Traffic, balancer: Balancer = least
) -> Outcome:
    """Simulate requests that arrive at random times and are spread over machines."""
    clock, chance = Clock(), random.Random(traffic.seed)  # noqa: S311 (no secret)
    all_machines = [Machine(clock, costs, layout, chance) for _ in range(machines)]
    lead_ms, end_ms = 250 * traffic.seconds, 1250 * traffic.seconds
    outcome = Outcome(traffic.seconds)

    def arrive() -> None:
        begin = clock.now

        def answered() -> None:
            if clock.now >= lead_ms:
                outcome.latencies_ms.append(clock.now - begin)

        balancer(all_machines, chance).serve(answered)
        clock.at(clock.now + chance.expovariate(traffic.per_s / 1000), arrive)

    clock.at(0.0, arrive)
    clock.run(end_ms)
    return outcome
