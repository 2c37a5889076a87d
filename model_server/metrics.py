"""Count and time requests; write the metrics as TensorFlow Serving does for Prometheus.

The text is written here and not by prometheus_client, since that library writes the counter
``request_count`` as ``request_count_total``, adds HELP lines and writes counts as floats (``3.0``),
which would break dashboards and alerts made for TensorFlow Serving.
"""

from __future__ import annotations

import hashlib
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PREFIX: Final = ":tensorflow:serving:"
_LATENCIES: Final = tuple(10 * 1.8**power for power in range(33))
_COUNTS: Final = tuple(float(2**power) for power in range(15))


class Metric(NamedTuple):
    """One metric; ``help`` is for the manual, since TensorFlow Serving writes no help."""

    help: str
    labels: tuple[str, ...]

    limits: tuple[float, ...] = ()
    """Upper limits of the buckets of a histogram; a counter has none."""

    @property
    def type_name(self) -> str:
        """The name of the type in Prometheus's text format."""
        return "histogram" if self.limits else "counter"


METRICS: Final[dict[str, Metric]] = {
    "model_warmup_latency": Metric(
        "Microseconds that the warm-up of a version took.", ("model_path", "status"), _LATENCIES
    ),
    "request_count": Metric("Requests answered, by status.", ("model_name", "status")),
    "request_example_count_total": Metric("Examples in all requests.", ("model",)),
    "request_example_counts": Metric("Examples per request.", ("model",), _COUNTS),
    "request_log_count": Metric(
        "Requests chosen for the request log: OK (written), RESOURCE_EXHAUSTED (dropped) or "
        "UNKNOWN (could not be written).",
        ("model_name", "status_code"),
    ),
    "request_latency": Metric(
        "Microseconds of a request.", ("model_name", "API", "entrypoint"), _LATENCIES
    ),
    "runtime_latency": Metric(
        "Microseconds of the run of a model.", ("model_name", "API", "runtime"), _LATENCIES
    ),
}

#: Callers choose the model names in labels, so the number of label sets per counter is limited, and
#: the characters of each name.
_MAX_LABEL_SETS: Final = 10_000
_MAX_LABEL: Final = 256
#: Longer names are made up by callers; hashing a whole message would cost more than its response.
_MAX_HASHED: Final = 64 * 1024
_HASH_DIGITS: Final = 12

Labels = tuple[str, ...]


@dataclass(slots=True)
class _Histogram:
    counts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    total: float = 0.0


class Metrics:
    """All counters and histograms of the process; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, int]] = defaultdict(lambda: defaultdict(int))
        self._histograms: dict[str, dict[Labels, _Histogram]] = defaultdict(
            lambda: defaultdict(_Histogram)
        )

    def count(self, name: str, *values: str, by: int = 1) -> None:
        """Add ``by`` to the counter with these label values, of which long ones are cut."""
        values = tuple(map(_cut, values))
        with self._lock:
            counters = self._counters[name]
            if values in counters or len(counters) < _MAX_LABEL_SETS:
                counters[values] += by

    def observe(self, name: str, number: float, *values: str) -> None:
        """Add a number to the histogram with these label values, of which long ones are cut."""
        values = tuple(map(_cut, values))
        bucket = bisect_left(METRICS[name].limits, number)
        with self._lock:
            histogram = self._histograms[name][values]
            histogram.counts[bucket] += 1
            histogram.total += number

    def count_examples(self, model: str, count: int) -> None:
        """Count the examples of one request for a model."""
        self.observe("request_example_counts", count, model)
        self.count("request_example_count_total", model, by=count)

    def first_value(self, name: str) -> int:
        """Return the counter of a full name with its first label values; 0 if there is none.

        The name has the form of Prometheus or that of TensorFlow Serving, with slashes.
        """
        short = name.replace("/", ":").removeprefix(PREFIX)
        with self._lock:
            return min(self._counters.get(short, {}).items(), default=(None, 0))[1]

    @contextmanager
    def timed(self, name: str, *values: str) -> Iterator[None]:
        """Add the duration of the block in microseconds to a histogram, unless the block raises."""
        start = time.perf_counter()
        yield
        self.observe(name, (time.perf_counter() - start) * 1e6, *values)

    def text(self) -> str:
        """Return all metrics in Prometheus's text format."""
        with self._lock:
            return "".join(line for name in sorted(METRICS) for line in self._lines(name))

    def _lines(self, name: str) -> Iterator[str]:
        _, labels, limits = METRICS[name]
        full = PREFIX + name
        yield f"# TYPE {full} {METRICS[name].type_name}\n"
        for values, count in sorted(self._counters[name].items()):
            yield f"{full}{{{_pairs(labels, values)}}} {count}\n"
        for values, histogram in sorted(self._histograms[name].items()):
            yield from _histogram_lines(full, _pairs(labels, values), limits, histogram)


def _histogram_lines(
    name: str, pairs: str, limits: tuple[float, ...], histogram: _Histogram
) -> Iterator[str]:
    below = 0
    for bucket, limit in enumerate((*limits, float("inf"))):
        below += histogram.counts.get(bucket, 0)
        shown = "+Inf" if limit == float("inf") else f"{limit:g}"
        yield f'{name}_bucket{{{pairs},le="{shown}"}} {below}\n'
    # With six digits, the sum of a server that has run for weeks would stand still between scrapes.
    yield f"{name}_sum{{{pairs}}} {histogram.total:.15g}\n"
    yield f"{name}_count{{{pairs}}} {below}\n"


def _pairs(labels: tuple[str, ...], values: Labels) -> str:
    return ",".join(
        f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True)
    )


def _cut(value: str) -> str:
    """Return the beginning of a long value with a hash, so that two long ones differ."""
    if len(value) <= _MAX_LABEL:
        return value
    hashed = value[:_MAX_HASHED].encode(errors="surrogatepass")
    digest = hashlib.sha256(hashed).hexdigest()
    return f"{value[:_MAX_LABEL]}…{digest[:_HASH_DIGITS]}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
