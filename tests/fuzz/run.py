"""Search each fuzz target with Atheris, which mutates inputs that reach new code further.

    python -m tests.fuzz.run --seconds 60 [TARGET ...]

Each target is searched in a process of its own, as many at once as there are processors. The inputs
that reached new code stay in ``build/fuzz/TARGET`` for the next run. Prints a row per target; exit
code 1 when an input was found that makes a reader fail, whose bytes are in ``build/fuzz/failures``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.catalogue import BY_NAME
from tests.running import ROOT

FOLDER = ROOT / "build" / "fuzz"
FAILURES = FOLDER / "failures"
#: Memory of a process with one target, in MB, and seconds for one input.
MOST_MB = 2048
INPUT_S = 20
#: Seconds that a process may take beyond the search: its imports, and the end.
_BESIDE_S = 120

_INPUTS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)
_DONE = re.compile(r"^Done (\d+) (?:runs )?in", re.MULTILINE)
_FAULT = re.compile(
    r"^ ?=== Uncaught Python exception: ===\n(.*(?:\n.*)?)|^==\d+== ?ERROR: (.*)", re.MULTILINE
)


@dataclass(frozen=True)
class Found:
    """What a search has found."""

    name: str
    inputs: int
    lines: int
    """Branches of the code that the inputs have reached."""

    kept: int
    """Inputs that reached new code."""

    fault: str
    """The first defect; empty if there was none."""


def search(name: str, seconds: int) -> Found:
    """Search one target in a process of its own."""
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    target = BY_NAME[name]
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", "tests.fuzz.search", name, str(corpus)]
    command += [f"-max_total_time={seconds}", f"-timeout={INPUT_S}", f"-rss_limit_mb={MOST_MB}"]
    command += [f"-max_len={target.longest}", f"-dict={_dictionary(name)}", "-seed=1"]
    command += [f"-artifact_prefix={FAILURES}/{name}-", "-print_final_stats=0"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=seconds + _BESIDE_S, check=False
    )
    log = (done.stdout + done.stderr).decode("utf-8", "replace")
    (FOLDER / f"{name}.log").write_text(log)
    return _found(name, log, done.returncode)


def _dictionary(name: str) -> Path:
    """Write the words of a target as libFuzzer reads them."""
    path = FOLDER / f"{name}.dict"
    words = (word for word in BY_NAME[name].words if word)
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)
    path.write_text("".join(lines))
    return path


def _found(name: str, log: str, code: int) -> Found:
    steps = _INPUTS.findall(log)
    inputs, lines, _, kept = map(int, steps[-1]) if steps else (0, 0, 0, 0)
    done = _DONE.search(log)
    fault = _FAULT.search(log)
    said = " ".join((fault[1] or fault[2]).split()) if fault else f"exit code {code}"
    return Found(name, int(done[1]) if done else inputs, lines, kept, said if code else "")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Search the fuzz targets with Atheris.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="names (all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (%(default)s)")
    options = parser.parse_args(argv)
    unknown = [name for name in options.targets if name not in BY_NAME]
    if unknown:
        parser.error(f"there is no target {unknown[0]}; allowed are {', '.join(BY_NAME)}")
    FAILURES.mkdir(parents=True, exist_ok=True)
    names = options.targets or list(BY_NAME)
    _say(f"| target | inputs | branches | kept | defect |\n|{'---|' * 5}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda name: _told(search(name, options.seconds)), names))
    return 1 if any(found.fault for found in results) else 0


def _told(found: Found) -> Found:
    fault = found.fault or "none"
    _say(f"| {found.name} | {found.inputs} | {found.lines} | {found.kept} | {fault} |")
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
