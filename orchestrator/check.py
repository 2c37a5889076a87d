"""Ask a command whether a child could start now; the child itself is left alone.

A caller can rely on one promise: nothing here raises. A command that cannot be asked or does not
answer has not passed.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from typing import Protocol

from orchestrator.child import ChildSpec
from orchestrator.shim import end_group

TIMEOUT_S = 60.0
_LINES = 5
_PAUSE_S = 0.05


class Checking(Protocol):
    """What the loop needs of a check."""

    def said(self) -> str | None:
        """Return None while it runs, the empty string when all is well, else what is wrong."""

    def end(self) -> None:
        """Give up: nobody wants the answer any more."""


class Check:
    """The check of a child's spec; a spec without one passes at once."""

    def __init__(self, spec: ChildSpec, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._started = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: str | None = None if spec.check else ""
        if spec.check:
            try:
                self._start(spec)
            except OSError as error:
                self._said = str(error)

    def said(self) -> str | None:
        """Return None while it runs, the empty string when all is well, else its last lines."""
        if self._process is None or self._said is not None:
            return self._said
        code = self._process.poll()
        if code is None and time.monotonic() - self._started < self._timeout_s:
            return None
        self._said = self._verdict(code)
        self.end()
        return self._said

    def wait(self) -> str:
        """Return what it says once it has ended."""
        while (said := self.said()) is None:
            time.sleep(_PAUSE_S)
        return said

    def end(self) -> None:
        """End the command, if it still runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            end_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def _start(self, spec: ChildSpec) -> None:
        self._output = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the spec says what to start
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

    def _verdict(self, code: int | None) -> str:
        if code == 0:
            return ""
        if code is None:
            return f"the check has not ended after {self._timeout_s:g} s"
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        said = [line.rstrip() for line in lines if line.strip()]
        return "\n".join(said[-_LINES:]) or f"the check ended with code {code}"
