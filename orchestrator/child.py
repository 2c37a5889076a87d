"""Start, poll and end one child process, which runs under a shim (see ``shim``).

When ``poll`` has returned an exit code, the child and the other processes of its group have ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.problem import Problem
from orchestrator.processes import children, group_cpu_s, group_is_running
from orchestrator.shim import CLEANUP_S, LEFTOVERS_S, end_group, exit_code

_PACKAGE_ROOT = Path(__file__).resolve().parent.parent

#: Added to the grace time of a child; a shim that takes longer is stopped or hangs, and is killed.
_SHIM_EXTRA_S = 5.0
_GONE_S = 5.0

Probe = Callable[[], Problem | None]
"""Returns None if the child passes the probe, else the problem."""


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """How to start, probe, reload and end a child."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path

    ready: Probe
    """Readiness probe: called until it first finds no problem."""

    alive: Probe
    """Liveness probe: called once the child is ready, to find out whether it still answers."""

    prepare: Callable[[], None] = lambda: None
    """Called before each start and reload: writes the files that the child reads."""

    refuse: Probe = lambda: None
    """Called before a restart that the user asks for; a problem refuses it."""

    grace_s: float = 30.0
    """Seconds between TERM and KILL."""

    cleanup: Sequence[str] = ()
    """Command to run after the child has ended for whatever reason."""

    reloads: bool = False
    """Whether HUP makes the child replace its workers without losing a request."""

    check: Sequence[str] = ()
    """Command whose exit code tells whether the child could start; empty for no check."""

    url: str = ""
    """Root URL of the child, for the user."""


class Child:
    """A running child and its shim, which passes on the exit code of the child."""

    def __init__(self, spec: ChildSpec) -> None:
        control, own_end = os.pipe()
        pid_pipe, shims_end = os.pipe()
        try:
            self._shim = subprocess.Popen(
                [*_shim_argv(spec), "--", *spec.argv],
                env=dict(spec.env),
                cwd=_PACKAGE_ROOT,
                stdin=control,
                stdout=shims_end,
                start_new_session=True,
            )
        except OSError:
            os.close(own_end)
            os.close(pid_pipe)
            raise
        finally:
            os.close(control)
            os.close(shims_end)
        self._control: int | None = own_end
        self._old_workers: frozenset[int] = frozenset()
        self._grace_s = spec.grace_s
        self._cleanup_s = CLEANUP_S if spec.cleanup else 0.0
        self._end_by: float | None = None
        self._gone_by = 0.0
        with os.fdopen(pid_pipe, "rb") as first_line:
            self.pid = int(first_line.readline() or 0)

    def poll(self) -> int | None:
        """Return the exit code, or None while the child runs."""
        code = self._shim.poll()
        if code is None:
            self._end_late_shim()
            return None
        if code < 0 and not self._group_has_ended():
            return None
        self._close_control()
        return exit_code(code)

    def _end_late_shim(self) -> None:
        """Kill a shim that has not ended its child in time, such as a stopped one."""
        if self._end_by is not None and time.monotonic() > self._end_by:
            self._shim.kill()

    def _group_has_ended(self) -> bool:
        """Kill the child of a shim that was killed; tell whether it is gone, or waited for enough.

        KILL takes effect only some time after it was sent.
        """
        if not self.pid:
            return True
        end_group(self.pid, signal.SIGKILL)
        self._gone_by = self._gone_by or time.monotonic() + _GONE_S
        return not group_is_running(self.pid) or time.monotonic() > self._gone_by

    def terminate(self) -> None:
        """Send TERM to the child, and KILL to its process group after the grace time."""
        self._expect_end(self._grace_s)
        self._send(b"stop\n")

    def kill(self) -> None:
        """Send KILL to the process group of the child."""
        self._expect_end(0)
        self._send(b"kill\n")

    def _expect_end(self, within_s: float) -> None:
        latest = time.monotonic() + within_s + LEFTOVERS_S + _SHIM_EXTRA_S + self._cleanup_s
        self._end_by = min(latest, self._end_by or latest)

    def cpu_s(self) -> float | None:
        """Return the CPU time of the child's process group; None where it is unknown."""
        return group_cpu_s(self.pid)

    def reload(self) -> None:
        """Send HUP, upon which the child replaces its workers."""
        self._old_workers = children(self.pid)
        self._send(b"reload\n")

    def reloaded(self) -> bool:
        """Tell whether the last reload has replaced every worker."""
        workers = children(self.pid)
        return bool(workers) and not workers & self._old_workers

    def _send(self, word: bytes) -> None:
        if self._control is None:
            return
        try:
            os.write(self._control, word)
        except BrokenPipeError:  # the shim has just ended; ``poll`` will return its exit code
            return
        self._shim.send_signal(signal.SIGCONT)  # a stopped shim would not read the word

    def _close_control(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None


def _shim_argv(spec: ChildSpec) -> list[str]:
    # -E -s -S: a quicker start, and no effect of the caller's PYTHON… variables on the shim.
    argv = [sys.executable, "-E", "-s", "-S", "-m", "orchestrator.shim"]
    argv += ["--log", str(spec.log), "--cwd", str(spec.cwd), "--grace-s", str(spec.grace_s)]
    return [*argv, "--cleanup", json.dumps(list(spec.cleanup))]
