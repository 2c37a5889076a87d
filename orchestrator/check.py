"""Run a command that tells whether a child could start, without touching the running child.

Nothing here raises: a command that cannot be started or does not end in time has failed.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Protocol

from orchestrator.child import ChildSpec
from orchestrator.problem import Problem
from orchestrator.shim import end_group

TIMEOUT_S = 60.0
_OUTPUT_LINES = 5
_POLL_S = 0.05


@dataclass(frozen=True)
class CheckResult:
    """The result of a check that has ended."""

    problem: Problem | None = None
    """Why the child could not start; None when it could."""


class Checking(Protocol):
    """The part of ``Check`` that the supervisor uses."""

    def poll(self) -> CheckResult | None:
        """Return the result, or None while the check runs."""

    def end(self) -> None:
        """Kill the check if it still runs."""


class Check:
    """The run of ``spec.check``; a spec without one passes at once."""

    def __init__(self, spec: ChildSpec, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._started = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._result: CheckResult | None = None if spec.check else CheckResult()
        if spec.check:
            try:
                self._start(spec)
            except OSError as error:
                self._result = CheckResult(Problem(str(error)))

    def poll(self) -> CheckResult | None:
        """Return the result, or None while the check runs."""
        if self._process is None or self._result is not None:
            return self._result
        code = self._process.poll()
        if code is None and time.monotonic() - self._started < self._timeout_s:
            return None
        self._result = CheckResult(self._problem(code))
        self.end()
        return self._result

    def wait(self) -> Problem | None:
        """Wait for the result; return why the child could not start, or None when it could."""
        while (result := self.poll()) is None:
            time.sleep(_POLL_S)
        return result.problem

    def end(self) -> None:
        """Kill the command if it still runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            end_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def _start(self, spec: ChildSpec) -> None:
        self._output = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command is part of the spec
                spec.check,
                env=dict(spec.env),
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
        except OSError:
            self._output.close()
            raise

    def _problem(self, code: int | None) -> Problem | None:
        """Turn the exit code, None after a timeout, and the output into a problem."""
        if code == 0:
            return None
        if code is None:
            return Problem(f"the check has not ended after {self._timeout_s:g} s")
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        filled = [line.rstrip() for line in lines if line.strip()]
        output = "\n".join(filled[-_OUTPUT_LINES:])
        return Problem(output or f"the check ended with code {code}")
