"""End the children of an earlier instance that was killed.

A child whose shim still runs is being ended by that shim, which is continued if it was stopped. A
child whose shim was killed too, an orphan, is ended here: TERM to the child and, after its grace
time, KILL to its process group.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from orchestrator.console import Console
from orchestrator.run_dir import RunDir, is_same_process
from orchestrator.shim import kill_group

_PAUSE_S = 0.05
_GRACE_S = 30.0
#: Added to the grace time of a child whose shim still runs.
_SHIM_S = 5.0
#: Added to the grace time before the wait is given up.
_EXTRA_S = 15.0


def end_leftovers(run_dir: RunDir, console: Console) -> bool:
    """Wait until the children of an earlier instance have ended; return False if one has not."""
    left = run_dir.leftovers()
    for child in left.values():
        if is_orphan(child):
            _signal(child, signal.SIGTERM, signal.SIGCONT)
        else:
            _signal(child.get("shim") or child, signal.SIGCONT)
    started = time.monotonic()
    while left := {name: child for name, child in left.items() if is_same_process(child)}:
        waited_s = time.monotonic() - started
        console.progress(f"the earlier run's {named(left)} is still ending", waited_s)
        for child in left.values():
            if waited_s >= _grace_s(child) + (0 if is_orphan(child) else _SHIM_S):
                kill_group(child["pid"])
        if waited_s > max(map(_grace_s, left.values())) + _EXTRA_S:
            return False
        time.sleep(_PAUSE_S)
    return True


def is_orphan(child: Mapping[str, Any]) -> bool:
    """Tell whether the shim of a running child has ended."""
    shim = child.get("shim")
    return shim is not None and not is_same_process(shim)


def named(children: Mapping[str, Mapping[str, Any]]) -> str:
    """Return names and PIDs of children as text."""
    return ", ".join(f"{name} (PID {child['pid']})" for name, child in children.items())


def _grace_s(child: Mapping[str, Any]) -> float:
    return float(child.get("grace_s", _GRACE_S))


def _signal(process: Mapping[str, Any], *numbers: signal.Signals) -> None:
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process["pid"], number)
