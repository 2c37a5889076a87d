"""Put load on a system with wrk, and check its answers while doing so.

Each connection is a thread of wrk's with a script of its own (``load.lua``), which knows the
question that an answer belongs to.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Json

SCRIPT = Path(__file__).with_name("load.lua")
#: How long one answer may take; wrk counts slower ones as broken.
PATIENCE_S = 60
#: Bytes of questions that all threads of wrk may hold together.
_HELD = 256 << 20


class LoadError(RuntimeError):
    """The load could not be produced, so there is nothing to report."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the questions go, and how the answers are read."""

    url: str
    questions: Path
    """One per line: the expected class, a tab, the body."""

    content_type: str

    answer: str
    """A Lua pattern that finds the best class, or ``argmax``."""


def load(target: Target, connections: int, seconds: float) -> Json:
    """Return throughput of right answers, latencies and what went wrong."""
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed; on Debian: apt-get install wrk")
    command = ["wrk", f"-t{connections}", f"-c{connections}", f"-d{seconds:.0f}s"]
    command += ["--timeout", f"{PATIENCE_S}s", "-s", str(SCRIPT), target.url, "--"]
    command += [str(target.questions), target.content_type, target.answer]
    command.append(str(_per_thread(target.questions, connections)))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:  # killed or crashed, once in some hundred runs: nothing was measured
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return read_result(done.stdout, f"{done.stderr} (exit code {done.returncode})")


def read_result(output: str, errors: str = "") -> Json:
    """Return the script's figures; an answer that was refused or wrong is no throughput."""
    _, found, text = output.rpartition("RESULT ")
    if not found:
        raise LoadError(f"wrk gave no result: {(errors or output).strip()[-400:]}")
    result: Json = json.loads(text)
    result["requests_per_s"] = (result["answers"] - result["wrong"]) / result["seconds"]
    return result


def _per_thread(questions: Path, connections: int) -> int:
    """Return how many distinct questions each thread holds: all that memory allows, at least 4."""
    lines = questions.read_bytes().count(b"\n")
    size = questions.stat().st_size / max(lines, 1)
    return max(4, min(lines, int(_HELD / connections / size)))
