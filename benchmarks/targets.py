"""Compare the results with the targets. Pure functions: results in, one verdict per target out.

A target whose section was not measured has the value None and is not met.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import CURVES, Json, column, paired_ratio
from benchmarks.processor_kinds import AMX, KINDS, OTHER, WITH_INT8, Kind

#: Number of connections from which on the lowest throughput counts.
_BUSY = 16
_REQUESTS = "requests_per_s"

Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure of the results."""

    id: str
    what: str
    value_of: Callable[[Results], float]
    """Returns the figure; raises KeyError, ValueError or StopIteration if it was not measured."""

    bound: float
    at_least: bool = True

    bounds: Mapping[str, float] = field(default_factory=dict)
    """Other bounds, by the name of a kind of processor."""

    kinds: Collection[Kind] = (*KINDS, OTHER)
    """The kinds of processors that the target is a promise for."""

    def verdict(self, results: Results, kind: Kind) -> Json:
        """Return the figure, and whether it meets the target on this kind of processor."""
        bound = self.bounds.get(kind.name, self.bound)
        sign, holds = (">=", operator.ge) if self.at_least else ("<=", operator.le)
        try:
            value = self.value_of(results)
        except (KeyError, ValueError, StopIteration):
            value = None
        return {
            "id": self.id,
            "what": self.what,
            "value": None if value is None else round(value, 6),
            "target": f"{sign} {bound:g}",
            "met": value is not None and bool(holds(value, bound)),
        }


def verdicts(results: Results, kind: Kind) -> list[Json]:
    """Return the verdict on each target of a kind of processor."""
    return [target.verdict(results, kind) for target in TARGETS if kind in target.kinds]


def over(section: str, system: str, other: str) -> Callable[[Results], float]:
    """Return the function that compares two systems of a section."""

    def ratio(results: Results) -> float:
        systems = results[section]["systems"]
        return _ratio(systems[system], systems[other])

    return ratio


def of_limit(section: str, engine: str) -> Callable[[Results], float]:
    """Return the function that compares a system with the bare work on the same engine."""

    def ratio(results: Results) -> float:
        part = results[section]
        return _ratio(part["systems"][engine], part["limits"][engine])

    return ratio


def _ratio(system: Json, other: Json) -> float:
    return paired_ratio(column(system["runs"], _REQUESTS), column(other["runs"], _REQUESTS))


def at(*path: str) -> Callable[[Results], float]:
    """Return the function that reads the figure at a path of keys."""

    def value(results: Results) -> float:
        found: Any = results
        for step in path:
            found = found[step]
        return float(found)

    return value


def worst_added(results: Results) -> float:
    """Return the largest number of milliseconds added to a model's bare work."""
    return max(float(part["added_ms"]) for part in results["one_connection"]["models"].values())


def worst_fall(results: Results) -> float:
    """Return the lowest throughput under load as a share of the peak, over all models."""
    return min(fall(results[key]["steps"]) for key in CURVES)


def fall(steps: Sequence[Json]) -> float:
    """Return the lowest throughput from 16 connections on, as a share of the peak."""
    peak = max(column(steps, _REQUESTS))
    return min(column([s for s in steps if s["connections"] >= _BUSY], _REQUESTS)) / peak


def worst_tail(results: Results) -> float:
    """Return the largest ratio of p99 to median at 16 connections."""
    steps = [_step(results[key], _BUSY) for key in CURVES]
    return max(float(step["p99_ms"] / step["p50_ms"]) for step in steps)


def worst_memory(results: Results) -> float:
    """Return the largest ``memory_growth`` of all models."""
    return max(memory_growth(results[key]) for key in CURVES)


def memory_growth(model: Json) -> float:
    """Return the growth of memory from 16 to most connections, relative to the added bodies."""
    least, most = _step(model, _BUSY), model["steps"][-1]
    more = most["connections"] - least["connections"]
    return float((most["resident_mb"] - least["resident_mb"]) / (more * model["held_mb"]))


def _step(model: Json, connections: int) -> Json:
    return next(step for step in model["steps"] if step["connections"] == connections)


def tensorflow_free(results: Results) -> float:
    """Return 1 if no process with the OpenVINO engine had loaded TensorFlow, else 0."""
    runs = results["second_start"]["later"]["runs"]
    return float(not any(run["has_tensorflow"] for run in runs))


def wrong_share(section: str, ours: Sequence[str]) -> Callable[[Results], float]:
    """Return the function that computes the share of our wrong, refused and broken answers."""

    def share(results: Results) -> float:
        systems = results[section]["systems"]
        runs = [run for key in ours for run in systems[key]["runs"]]
        failed = sum(run["wrong"] + run["refused"] + run["broken"] for run in runs)
        return float(failed / sum(run["answers"] for run in runs))

    return share


BF16, F32, TENSORFLOW = "openvino bf16", "openvino f32", "tensorflow f32"
#: The set-up for many concurrent callers of a model as large as InceptionV3.
MANY = f"{BF16}, a stream per core"
EXACT = f"{MANY}, exact resize"
INT8 = "openvino int8"
MANY_INT8 = f"{INT8}, a stream per core"
OURS = (BF16, MANY, EXACT, F32, TENSORFLOW)
OURS_INT8 = (INT8, MANY_INT8, BF16, MANY)
PEER, FAST_PEER = "litserve", "litserve, fast resize"
_MANY = "OpenVINO bf16, a stream per core"
_MANY_INT8 = "InceptionV3, OpenVINO int8, a stream per core"

TARGETS = (
    Target("1.1", f"InceptionV3, {_MANY}, of its limit", of_limit("inception", MANY), 0.88),
    Target("1.2", f"InceptionV3, {_MANY}, x LitServe", over("inception", MANY, PEER), 2.2),
    Target("1.3", "InceptionV3, OpenVINO f32, of its limit", of_limit("inception", F32), 0.92),
    Target("1.4", "InceptionV3, TensorFlow, of its limit", of_limit("inception", TENSORFLOW), 0.92),
    Target("1.5", f"{_MANY_INT8}, of its limit", of_limit("inception_int8", MANY_INT8), 0.85),
    Target(
        "1.6",
        f"{_MANY_INT8}, x bf16",
        over("inception_int8", MANY_INT8, MANY),
        1.5,
        kinds=WITH_INT8,
    ),
    Target(
        "1.7",
        f"{_MANY_INT8}, x LitServe",
        over("inception_int8", MANY_INT8, PEER),
        4,
        kinds=WITH_INT8,
    ),
    Target("2.1", "MobileNet, OpenVINO bf16, x LitServe", over("mobilenet", BF16, PEER), 1.4),
    Target(
        "2.2",
        "MobileNet, OpenVINO bf16, of its limit",
        of_limit("mobilenet", BF16),
        0.55,
        bounds={AMX.name: 0.62},
    ),
    Target("2.3", "MobileNet, x the tutorial's way", over("mobilenet", BF16, "tutorial"), 14),
    Target("2.1+", "stretch: x LitServe", over("mobilenet", BF16, PEER), 1.6),
    Target("2.2+", "stretch: of its limit", of_limit("mobilenet", BF16), 0.62),
    Target("1.1c", "beside: 1.1, one stream", of_limit("inception", BF16), 0.88),
    Target("1.2a", "beside: 1.2, neither resizes fast", over("inception", EXACT, PEER), 2.2),
    Target("1.2b", "beside: 1.2, both resize fast", over("inception", MANY, FAST_PEER), 2.2),
    Target("1.2c", "beside: 1.2, one stream", over("inception", BF16, PEER), 2.2),
    Target("1.5c", "beside: 1.5, one stream", of_limit("inception_int8", INT8), 0.85),
    Target(
        "1.6c",
        "beside: 1.6, one stream",
        over("inception_int8", INT8, BF16),
        1.5,
        kinds=WITH_INT8,
    ),
    Target(
        "1.7b",
        "beside: 1.7, both resize fast",
        over("inception_int8", MANY_INT8, FAST_PEER),
        4,
        kinds=WITH_INT8,
    ),
    Target("2.1a", "beside: 2.1, neither resizes fast", over("mobilenet", EXACT, PEER), 1.4),
    Target(
        "2.1b",
        "beside: 2.1, both resize fast",
        over("mobilenet", BF16, FAST_PEER),
        1.4,
        bounds={AMX.name: 1.8},
    ),
    Target("2.1c", "beside: 2.1, a stream per core", over("mobilenet", MANY, PEER), 1.4),
    Target("2.2c", "beside: 2.2, a stream per core", of_limit("mobilenet", MANY), 0.55),
    Target("3", "one connection: ms added to the bare work", worst_added, 3.5, False),
    Target(
        "4", "gateway: CPU ms beyond decode and resize", at("gateway_cpu", "beyond_ms"), 1.3, False
    ),
    Target("3+", "stretch: ms added to the bare work", worst_added, 2.5, False),
    Target(
        "4+", "stretch: CPU ms beyond decode and resize", at("gateway_cpu", "beyond_ms"), 1.0, False
    ),
    Target("5", "12-megapixel JPEG: x reduced decoding", at("large_jpeg", "ratio"), 1.4, False),
    Target("6.1", "16 to 256 connections: least share of the peak", worst_fall, 0.9),
    Target("6.2", "16 connections: p99 / median", worst_tail, 2, False),
    Target("6.3", "256 connections: memory grown / bodies in flight", worst_memory, 1, False),
    Target("7.1", "50 models: CPU per request / with one", at("model_growth", "ratio"), 1.1, False),
    Target("7.2", "32 images: latency / bare work", at("batch_growth", "ratio"), 1.1, False),
    Target("7.3", "top_k=1000: CPU / top_k=1 and JSON", at("top_k_growth", "ratio"), 1.1, False),
    Target(
        "8.1",
        "second start: seconds until ready",
        at("second_start", "later", "ready_s"),
        1.2,
        False,
    ),
    Target(
        "8.2", "second start: MB resident", at("second_start", "later", "resident_mb"), 350, False
    ),
    Target("8.3", "no tensorflow in the OpenVINO process (1 = none)", tensorflow_free, 1),
    Target(
        "8.4",
        "second start with int8: MB resident",
        at("second_start_int8", "later", "resident_mb"),
        200,
        False,
    ),
    *(
        Target(id_, f"{what}: share of our answers not right", wrong_share(*of), 0.001, False)
        for id_, what, of in (
            ("0.1", "InceptionV3", ("inception", OURS)),
            ("0.2", "MobileNet", ("mobilenet", OURS)),
            ("0.3", "InceptionV3 with int8", ("inception_int8", OURS_INT8)),
            ("0.4", "MobileNet with int8", ("mobilenet_int8", OURS_INT8)),
        )
    ),
)
