"""Put load on a system with wrk, and check every answer.

Each connection is a thread of wrk that runs its own copy of ``load.lua``, which knows the request
of each answer.
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
#: Time limit of one answer; wrk counts slower ones as broken.
ANSWER_TIMEOUT_S = 60
#: Minimum duration of the load on all connections before the counting begins.
LEAD_S = 1.0
#: Minimum speed at which wrk reads the file of requests; its threads read it one after another.
READ_BYTES_PER_S = 100 << 20
#: Bytes of requests that all threads of wrk may hold together.
_HELD = 256 << 20


class LoadError(RuntimeError):
    """The load could not be produced, so there is no result."""


class Crash(LoadError):
    """A signal ended wrk."""


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where requests are sent, and how answers are checked."""

    url: str
    requests_file: Path
    """One request per line: the expected class, a tab, the body."""

    content_type: str

    answer: str
    """A Lua pattern that finds the best class, or ``argmax``."""


def load(
    target: LoadTarget,
    connections: int,
    seconds: float,
    at_edges: Callable[[], None] = lambda: None,
) -> Json:
    """Return throughput of right answers, latencies and numbers of failures.

    Only answers within a window of ``seconds`` count; it begins when all connections are busy.
    ``at_edges`` is called at its beginning and at its end.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed; on Debian: apt-get install wrk")
    try:
        return _load(target, connections, seconds, at_edges)
    except Crash:  # wrk crashes in one of some hundred runs, without a result
        return _load(target, connections, seconds, at_edges)


def _load(
    target: LoadTarget, connections: int, seconds: float, at_edges: Callable[[], None]
) -> Json:
    lead = LEAD_S + connections * target.requests_file.stat().st_size / READ_BYTES_PER_S
    begin = time.monotonic() + lead
    end = begin + seconds
    command = ["wrk", f"-t{connections}", f"-c{connections}", f"-d{math.ceil(lead + seconds)}s"]
    command += ["--timeout", f"{ANSWER_TIMEOUT_S}s", "-s", str(SCRIPT), target.url, "--"]
    command += [str(target.requests_file), target.content_type, target.answer]
    command += [str(_per_thread(target.requests_file, connections)), str(begin), str(end)]
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
    """Return the figures that the script printed; refused or wrong answers are no throughput."""
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
        key: percentile(took, share) if took else ANSWER_TIMEOUT_S * 1000
        for key, share in shares.items()
    }


def _per_thread(requests_file: Path, connections: int) -> int:
    """Return the number of distinct requests per thread: all that memory allows, at least 4."""
    lines = requests_file.read_bytes().count(b"\n")
    size = requests_file.stat().st_size / max(lines, 1)
    return max(4, min(lines, int(_HELD / connections / size)))
