"""Start one process under a shim, see whether it lives, end it.

Nothing here knows why a child is started or ended. A caller can rely on one promise: when ``poll``
has returned an exit code, neither the child nor its descendants in the same session are left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.processes import children
from orchestrator.shim import end_group

_PACKAGE_ROOT = Path(__file__).resolve().parent.parent

Probe = Callable[[], str]
"""Asks a child how it is; the empty string means well, any other text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """How to start a child and how to tell that it is up."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path

    ready: Probe
    """Whether the child does its whole work; asked until it first says yes."""

    alive: Probe
    """Whether the child answers at all; asked from then on."""

    grace_s: float = 30.0
    """How long the child may take to end after TERM."""

    cleanup: Sequence[str] = ()
    """A command that cleans up once the child has ended, however it ended."""

    reloads: bool = False
    """Whether HUP makes the child replace its workers without losing a request."""

    check: Sequence[str] = ()
    """A command that says, by its exit code, whether the child could start; none passes always."""

    url: str = ""
    """Where the child answers, for people."""


class Child:
    """A running child; its shim's exit code is its own."""

    def __init__(self, spec: ChildSpec) -> None:
        control, own_end = os.pipe()
        answer, shims_end = os.pipe()
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
            os.close(answer)
            raise
        finally:
            os.close(control)
            os.close(shims_end)
        self._control: int | None = own_end
        self._old_workers: frozenset[int] = frozenset()
        with os.fdopen(answer, "rb") as first_line:
            self.pid = int(first_line.readline() or 0)

    def poll(self) -> int | None:
        """Return the exit code, or None while the child runs."""
        code = self._shim.poll()
        if code is None:
            return None
        if code < 0 and self.pid:  # the shim was killed: its child has nobody but us
            end_group(self.pid, signal.SIGKILL)
            self.pid = 0
        self._hang_up()
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """TERM, then KILL when the grace time is over."""
        self._tell(b"stop\n")

    def kill(self) -> None:
        """KILL the child and its whole process group."""
        self._tell(b"kill\n")

    def reload(self) -> None:
        """Ask the child to replace its workers."""
        self._old_workers = children(self.pid)
        self._tell(b"reload\n")

    def reloaded(self) -> bool:
        """Tell whether the last reload has replaced every worker."""
        workers = children(self.pid)
        return bool(workers) and not workers & self._old_workers

    def _tell(self, word: bytes) -> None:
        if self._control is None:
            return
        try:
            os.write(self._control, word)
        except BrokenPipeError:  # it has just ended; poll will say so
            return

    def _hang_up(self) -> None:
        if self._control is not None:
            os.close(self._control)
            self._control = None


def _shim_argv(spec: ChildSpec) -> list[str]:
    # Without options and the caller's PYTHON… variables: only its child has a use for them.
    argv = [sys.executable, "-E", "-s", "-S", "-m", "orchestrator.shim"]
    argv += ["--log", str(spec.log), "--cwd", str(spec.cwd), "--grace-s", str(spec.grace_s)]
    return [*argv, "--cleanup", json.dumps(list(spec.cleanup))]
