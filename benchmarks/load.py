"""Put load on a system with wrk, and check its answers while doing so.

Each connection is a thread of wrk's with a script of its own (``load.lua``), which knows the
question that an answer belongs to.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Json, percentile

SCRIPT = Path(__file__).with_name("load.lua")
#: How long one answer may take; wrk counts slower ones as broken.
PATIENCE_S = 60
#: How long all connections are at work before the counting begins, at least.
LEAD_S = 1.0
#: How fast wrk reads the questions at the least; each of its threads reads all of them, in turn.
READ_BYTES_PER_S = 100 << 20
#: Bytes of questions that all threads of wrk may hold together.
_HELD = 256 << 20


class LoadError(RuntimeError):
    """The load could not be produced, so there is nothing to report."""


class Crash(LoadError):
    """wrk was ended by a signal."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the questions go, and how the answers are read."""

    url: str
    questions: Path
    """One per line: the expected class, a tab, the body."""

    content_type: str

    answer: str
    """A Lua pattern that finds the best class, or ``argmax``."""


def load(
    target: Target, connections: int, seconds: float, at_edges: Callable[[], None] = lambda: None
) -> Json:
    """Return throughput of right answers, latencies and what went wrong.

    Only answers within ``seconds`` count, which begin when all connections have long been at work;
    ``at_edges`` is called when they begin and when they end.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed; on Debian: apt-get install wrk")
    try:
        return _load(target, connections, seconds, at_edges)
    except Crash:  # once in some hundred runs, and then nothing was measured
        return _load(target, connections, seconds, at_edges)


def _load(target: Target, connections: int, seconds: float, at_edges: Callable[[], None]) -> Json:
    lead = LEAD_S + connections * target.questions.stat().st_size / READ_BYTES_PER_S
    begin = time.monotonic() + lead
    end = begin + seconds
    command = ["wrk", f"-t{connections}", f"-c{connections}", f"-d{math.ceil(lead + seconds)}s"]
    command += ["--timeout", f"{PATIENCE_S}s", "-s", str(SCRIPT), target.url, "--"]
    command += [str(target.questions), target.content_type, target.answer]
    command += [str(_per_thread(target.questions, connections)), str(begin), str(end)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as wrk:
        for edge in (begin, end):
            time.sleep(max(0, edge - time.monotonic()))
            at_edges()
        output, errors = wrk.communicate()
    if wrk.returncode < 0:
        raise Crash(f"wrk was ended by signal {-wrk.returncode}.")
    return read_result(output, begin, end, f"{errors} (exit code {wrk.returncode})")


def read_result(output: str, begin: float, end: float, errors: str = "") -> Json:
    """Return the script's figures; an answer that was refused or wrong is no throughput."""
    _, found, text = output.rpartition("RESULT ")
    if not found:
        raise LoadError(f"wrk gave no result: {(errors or output).strip()[-400:]}")
    result: Json = json.loads(text)
    late = result.pop("ready") - begin
    if late > 0:
        raise LoadError(f"The last connection of wrk came {late:.1f} s after the counting began.")
    took = result.pop("took_ms")
    right = len(took) - result["wrong"]
    seconds = end - begin
    result |= {"answers": len(took), "seconds": seconds, "requests_per_s": right / seconds}
    # Without an answer there is no latency; zero would be the best of all.
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return result | {
        key: percentile(took, share) if took else PATIENCE_S * 1000 for key, share in shares.items()
    }


def _per_thread(questions: Path, connections: int) -> int:
    """Return how many distinct questions each thread holds: all that memory allows, at least 4."""
    lines = questions.read_bytes().count(b"\n")
    size = questions.stat().st_size / max(lines, 1)
    return max(4, min(lines, int(_HELD / connections / size)))
