"""Keep the folder of one running instance: its lock, its state file, its logs.

The lock is held by the running process itself and vanishes with it, however it dies; so a state
file without a lock is stale, whatever PID it names. PIDs are used only together with the identity
of the process, so a recycled PID is never signalled.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import RunDirUnusable
from orchestrator.processes import command, identity


class RunDir:
    """One folder, normally ``.run`` in the project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self._state = path / "auto_cmd.json"
        self._lock_file = path / "auto_cmd.lock"
        self._lock: int | None = None

    def log(self, name: str) -> Path:
        """Return the path of a child's log."""
        return self.logs / f"{name}.log"

    def acquire(self) -> bool:
        """Take the lock, or return False when another instance has it."""
        self.prepare()
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        self._sign(json.dumps({"pid": os.getpid(), "identity": identity(os.getpid())}))
        return True

    def prepare(self) -> None:
        """Make the folders, or say why they cannot be used."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._lock_file.touch()
        except OSError as error:
            raise RunDirUnusable(
                f"{self.path} cannot be used for state and logs: {error}"
            ) from error

    def release(self) -> None:
        """Forget the state and give the lock back; without the lock, leave all as it is."""
        if self._lock is not None:
            self._state.unlink(missing_ok=True)
            self._sign("")
            os.close(self._lock)
            self._lock = None

    def _sign(self, text: str) -> None:
        """Write into the lock file who has the lock."""
        if self._lock is not None:
            with suppress(OSError):  # a full disk must not keep anybody from starting
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, text.encode(), 0)

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the state file in one step, so that nobody reads half of it."""
        self.write_text(self._state.name, json.dumps(state, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file for a child, in one step and only when it differs from what is there."""
        self.prepare()
        path = self.path / name
        draft = path.with_suffix(".draft")
        try:
            if path.exists() and path.read_text(encoding="utf-8") == text:
                return
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise RunDirUnusable(f"{path} cannot be written: {error}") from error

    def own_pids(self) -> list[int]:
        """Return the PIDs of the running instance's children."""
        return [child["pid"] for child in (self.running() or {"children": {}})["children"].values()]

    def read(self) -> dict[str, Any] | None:
        """Return the last state written, be its writer alive or not; None when there is none."""
        return _record(self._state)

    def running(self) -> dict[str, Any] | None:
        """Return the state of the instance that runs now, if any."""
        state = self.read()
        return state if state and is_same_process(state) else None

    def starting(self) -> dict[str, Any] | None:
        """Return ``pid`` and ``identity`` of the instance that has the lock, if any."""
        holder = _record(self._lock_file)
        return holder if holder and is_same_process(holder) else None

    def stale(self) -> str:
        """Say what an instance that did not clean up has left, empty when there is nothing."""
        state = self.read()
        if state is None or is_same_process(state):
            return ""
        pid = state["pid"]
        now = f"is another program now: {command(pid)}" if identity(pid) else "is gone"
        return (
            f"ignoring the state file of an earlier run that did not end by itself: PID {pid} {now}"
        )


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "pid" in record else None


def is_same_process(record: Mapping[str, Any]) -> bool:
    """Tell whether the process of a record with ``pid`` and ``identity`` still lives."""
    pid = record["pid"]
    return bool(pid) and identity(pid) is not None and identity(pid) == record.get("identity")
