"""Keep the directory through which the worker processes share their metrics.

prometheus_client reads its place from the environment when it is imported, so gunicorn's master
makes the directory before anything else. It is new for every master (numbers of another run would
be added to ours), the same after a reload, and gone when the master ends; that of a master that was
killed goes when the next one starts.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_PREFIX = "gateway-metrics-"
#: Locked as long as the master or one of its workers lives.
_LOCK = "lock"


def make(environ: MutableMapping[str, str]) -> Path:
    """Return this process's directory, named in ``environ``; the first call makes it."""
    master = os.getpid()
    prefix = f"{_PREFIX}{master}-"
    before = Path(environ.get(VARIABLE, ""))
    if before.name.startswith(prefix) and before.is_dir():
        return before
    _sweep()
    directory = _locked(prefix)
    environ[VARIABLE] = str(directory)
    atexit.register(_remove, directory, master)
    return directory


def shared(environ: MutableMapping[str, str]) -> bool:
    """Tell whether metrics are shared between processes here."""
    return bool(environ.get(VARIABLE))


def _locked(prefix: str) -> Path:
    """Return a new directory that nobody can see before it is locked."""
    made = Path(tempfile.mkdtemp(prefix=f"new-{prefix}"))
    # Never closed: the system does that when the last process that has it ends, however it ends.
    _lock(os.open(made / _LOCK, os.O_CREAT | os.O_RDWR, 0o600))
    return made.rename(made.with_name(made.name.removeprefix("new-")))


def _lock(descriptor: int) -> bool:
    """Return False where somebody else has the lock or the file system knows none."""
    # Not on Windows, and neither is gunicorn.
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _abandoned(directory):
            shutil.rmtree(directory, ignore_errors=True)


def _abandoned(directory: Path) -> bool:
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _remove(directory: Path, owner: int) -> None:
    # Forked workers inherit the exit handler, not the directory.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
