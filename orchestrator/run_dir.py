"""The folder of one instance: its lock file, its state file and its logs.

The operating system releases the lock when the process that holds it ends, for whatever reason. A
PID from a file is used only if the process also has the recorded start time (``identity``), so that
no signal reaches another process that has got the same PID since.

The state is written twice: into the lock file, whose space is reserved, so that a full disk does
not keep the commands from reading it; and into a file of its own, which people may read. Folder and
files belong to the user alone, whatever the umask: a lock can be held by whoever can read the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import RunDirUnusable
from orchestrator.processes import command_line, identity, lock_holders, owner

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
#: Names, without what follows the first dot, of what an instance and ``make run`` put into its
#: folder.
_OWN_NAMES = {
    *("auto_cmd", "logs", "models", "batching", "monitoring", "openvino"),
    "weights_attempt",
}
#: Bytes reserved in the lock file; a state has less than a tenth of it.
_RESERVED = 32 * 1024
#: Time for the holder of the lock to write who it is.
_HOLDER_S = 2.0
_PAUSE_S = 0.02
_READS = 5


class RunDir:
    """The folder of one instance, by default ``.run`` in the project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self._state = path / "auto_cmd.json"
        self._lock_file = path / "auto_cmd.lock"
        self._lock: int | None = None
        self._previous: dict[str, Any] | None = None

    def log(self, name: str) -> Path:
        """Return the path of a child's log."""
        return self.logs / f"{name}.log"

    def acquire(self) -> bool:
        """Take the lock; return False when another instance holds it.

        Raises RunDirUnusable when a process that is no instance holds the lock.
        """
        self.prepare()
        deadline = time.monotonic() + _HOLDER_S
        while (lock := self._try_lock()) is None:
            if self.starting() is not None:
                return False
            if time.monotonic() > deadline:
                self._remove_foreign_lock()
                deadline = time.monotonic() + _HOLDER_S
            time.sleep(_PAUSE_S)
        self._previous = self.read()
        self._lock = lock
        self._make_private()
        self._write_lock_file({"pid": os.getpid(), "identity": identity(os.getpid())})
        return True

    def _try_lock(self) -> int | None:
        """Return the open and locked lock file, or None when it is locked or was replaced."""
        lock = _open(self._lock_file, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == self._lock_file.stat().st_ino:
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:  # some network file systems have no locks
            os.close(lock)
            raise RunDirUnusable(
                f"{self._lock_file} cannot be locked ({error.strerror}); choose a folder on a "
                "local disk with --run-dir."
            ) from error
        os.close(lock)
        return None

    def _remove_foreign_lock(self) -> None:
        """Delete a lock file that another user's process has locked, or raise RunDirUnusable."""
        found = self._lock_file.stat()
        holders = lock_holders(found.st_ino)
        # A holder that has ended has left the open file to another process, as no instance does.
        if holders and not {owner(pid) for pid in holders} & {found.st_uid, os.geteuid()}:
            self._lock_file.unlink(missing_ok=True)
            return
        named = ", ".join(f"PID {pid} ({command_line(pid)})" for pid in sorted(holders))
        raise RunDirUnusable(
            f"{self._lock_file} is locked by {named or 'a process that cannot be seen'}, which is "
            "no instance; end that process, or choose another folder with --run-dir."
        )

    def prepare(self) -> None:
        """Create the folders, or raise RunDirUnusable."""
        try:
            if not self.path.exists():
                self.path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self.logs.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            self._lock_file.touch(mode=_FILE_MODE)
        except OSError as error:
            raise RunDirUnusable(
                f"{self.path} cannot be used for state and logs: {error}"
            ) from error

    def require_readable(self) -> None:
        """Raise RunDirUnusable if this user may not read which instance runs here."""
        try:
            os.close(_open(self._lock_file, os.O_RDONLY))
        except PermissionError as error:
            raise RunDirUnusable(
                f"{self.path} may not be read by this user, so it is not known what runs; run the "
                "command as the user who started the servers, or choose another folder with "
                "--run-dir."
            ) from error
        except OSError:  # nothing was ever started here
            return

    def _make_private(self) -> None:
        """Take away the rights of others, which an earlier version or a umask may have given."""
        # A folder that others use too, such as /tmp, keeps its mode.
        if {entry.name.split(".")[0] for entry in self.path.iterdir()} <= _OWN_NAMES:
            _restrict(self.path, _FOLDER_MODE)
        _restrict(self.logs, _FOLDER_MODE)
        files = (*self.path.glob("auto_cmd.*"), *self.path.glob("*.config"), *self.logs.iterdir())
        for path in files:
            _restrict(path, _FILE_MODE)

    def release(self) -> None:
        """Delete the state file and release the lock; do nothing without the lock."""
        if self._lock is not None:
            self._state.unlink(missing_ok=True)
            self._write_lock_file(None)
            os.close(self._lock)
            self._lock = None

    def _write_lock_file(self, record: Mapping[str, Any] | None) -> None:
        """Write into the lock file which process holds the lock, and its state once there is one.

        The file keeps its length, so that the disk space stays reserved.
        """
        if self._lock is None:
            return
        text = json.dumps(record) if record else ""
        line = f"{text}\t{zlib.crc32(text.encode())}\n".encode()
        with suppress(OSError):  # a full disk must not prevent a start
            os.pwrite(self._lock, line, 0)
            size = os.fstat(self._lock).st_size
            if size < _RESERVED:
                os.pwrite(self._lock, bytes(_RESERVED - size), size)

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the state file in one step, so that it is never read half written."""
        self._write_lock_file(state)
        self.write_text(self._state.name, json.dumps(state, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file that a child reads, in one step, and only if its text changes."""
        self.prepare()
        path, content = self.path / name, text.encode()
        draft = path.with_suffix(".draft")
        try:
            # Bytes are compared: a file that is damaged need not be text.
            if path.exists() and path.read_bytes() == content:
                return
            with open(_open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(content)
            draft.replace(path)
        except OSError as error:
            raise RunDirUnusable(f"{path} cannot be written: {error}") from error

    def own_pids(self) -> list[int]:
        """Return the PIDs of the running instance's children."""
        return [child["pid"] for child in (self.running() or {"children": {}})["children"].values()]

    def read(self) -> dict[str, Any] | None:
        """Return the last written state, or None; its instance may have ended."""
        record = _lock_record(self._lock_file)
        return record if record and "children" in record else _record(self._state)

    def running(self) -> dict[str, Any] | None:
        """Return the state of the running instance, or None."""
        state = self.read()
        return state if state and is_same_process(state) else None

    def starting(self) -> dict[str, Any] | None:
        """Return at least ``pid`` and ``identity`` of the instance that holds the lock, or None."""
        holder = _lock_record(self._lock_file)
        return holder if holder and is_same_process(holder) else None

    def earlier(self) -> dict[str, Any] | None:
        """Return the state of an instance that was killed, or None."""
        state = self.read() if self._lock is None else self._previous
        return state if state and not is_same_process(state) else None

    def leftovers(self) -> dict[str, dict[str, Any]]:
        """Return the records of the children that outlive a killed instance, by name."""
        children = (self.earlier() or {}).get("children", {})
        return {name: child for name, child in children.items() if is_same_process(child)}

    def stale_notice(self) -> str | None:
        """Return a message about a state file whose instance was killed, or None."""
        state = self.earlier()
        if state is None:
            return None
        pid = state["pid"]
        now = "is gone"
        if identity(pid):
            now = f"is another program now: {command_line(pid) or 'command not visible'}"
        return f"ignoring the state file of an earlier run that was killed: PID {pid} {now}"


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _FILE_MODE)


def _restrict(path: Path, mode: int) -> None:
    """Set the mode of a file or folder, but not of what a link points at or others own."""
    with suppress(OSError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            path.chmod(mode)


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _lock_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a lock file; one that is being written is read again."""
    for text, checksum in _lock_lines(path):
        if checksum == str(zlib.crc32(text.encode())):
            return _parsed(text) if text else None
        time.sleep(_PAUSE_S)
    return None


def _lock_lines(path: Path) -> Iterator[tuple[str, str]]:
    for _ in range(_READS):
        try:
            line = path.read_bytes().partition(b"\n")[0].decode(errors="replace")
        except OSError:
            return
        if not line.strip("\0"):
            return
        text, _, checksum = line.rpartition("\t")
        yield text, checksum


def _parsed(text: str) -> dict[str, Any] | None:
    record = json.loads(text)
    return record if isinstance(record, dict) and "pid" in record else None


def is_same_process(record: Mapping[str, Any]) -> bool:
    """Tell whether the process of a record with ``pid`` and ``identity`` still runs."""
    pid = record["pid"]
    return bool(pid) and identity(pid) is not None and identity(pid) == record.get("identity")
