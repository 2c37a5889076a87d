"""The folder of one instance: its lock file, its state file and its logs.

The operating system releases the lock when the process that holds it ends, for whatever reason. A
PID from a file is used only if the process also has the recorded start time (``identity``), so that
no signal reaches another process that has got the same PID since.
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
from orchestrator.processes import command_line, identity


class RunDir:
    """The folder of one instance, by default ``.run`` in the project."""

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
        """Take the lock; return False when another instance holds it."""
        self.prepare()
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        self._write_holder(json.dumps({"pid": os.getpid(), "identity": identity(os.getpid())}))
        return True

    def prepare(self) -> None:
        """Create the folders, or raise RunDirUnusable."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._lock_file.touch()
        except OSError as error:
            raise RunDirUnusable(
                f"{self.path} cannot be used for state and logs: {error}"
            ) from error

    def release(self) -> None:
        """Delete the state file and release the lock; do nothing without the lock."""
        if self._lock is not None:
            self._state.unlink(missing_ok=True)
            self._write_holder("")
            os.close(self._lock)
            self._lock = None

    def _write_holder(self, text: str) -> None:
        """Write into the lock file which process holds the lock."""
        if self._lock is not None:
            with suppress(OSError):  # a full disk must not prevent a start
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, text.encode(), 0)

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the state file in one step, so that it is never read half written."""
        self.write_text(self._state.name, json.dumps(state, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file that a child reads, in one step, and only if its text changes."""
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
        """Return the content of the state file, or None; its instance may have ended."""
        return _record(self._state)

    def running(self) -> dict[str, Any] | None:
        """Return the state of the running instance, or None."""
        state = self.read()
        return state if state and is_same_process(state) else None

    def starting(self) -> dict[str, Any] | None:
        """Return ``pid`` and ``identity`` of the instance that holds the lock, or None."""
        holder = _record(self._lock_file)
        return holder if holder and is_same_process(holder) else None

    def stale_notice(self) -> str | None:
        """Return a message about a state file whose instance was killed, or None."""
        state = self.read()
        if state is None or is_same_process(state):
            return None
        pid = state["pid"]
        now = "is gone"
        if identity(pid):
            now = f"is another program now: {command_line(pid) or 'command not visible'}"
        return f"ignoring the state file of an earlier run that was killed: PID {pid} {now}"


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "pid" in record else None


def is_same_process(record: Mapping[str, Any]) -> bool:
    """Tell whether the process of a record with ``pid`` and ``identity`` still runs."""
    pid = record["pid"]
    return bool(pid) and identity(pid) is not None and identity(pid) == record.get("identity")
