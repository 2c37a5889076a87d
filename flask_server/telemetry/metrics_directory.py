"""Make and remove the directory in which the worker processes share their metrics.

prometheus_client reads the path from the environment when it is imported, so gunicorn's
parent process makes the directory first. Every parent process has a new one, because the numbers of
another run would be added up with its own; a reload keeps it. It is removed when the parent process
ends; the directory of one that was killed is removed when the next one starts.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_PREFIX = "gateway-metrics-"
#: A file that is locked as long as the parent process or one of its workers runs.
_LOCK = "lock"


def make(environ: MutableMapping[str, str]) -> Path:
    """Return the directory of this process; the first call makes it and writes its path into
    ``environ``."""
    pid = os.getpid()
    prefix = f"{_PREFIX}{pid}-"
    before = Path(environ.get(VARIABLE, ""))
    if before.name.startswith(prefix) and before.is_dir():
        return before
    _sweep()
    directory = _locked(prefix)
    environ[VARIABLE] = str(directory)
    atexit.register(_remove, directory, pid)
    return directory


def try_to_make(environ: MutableMapping[str, str]) -> None:
    """Make the directory as ``make`` does; where that fails, such as on a full disk, each worker
    counts by itself."""
    try:
        make(environ)
    except OSError as error:
        environ.pop(VARIABLE, None)
        log.warning("Each worker counts its own metrics only: %s", error)


def shared(environ: MutableMapping[str, str]) -> bool:
    """Tell whether the processes share their metrics."""
    return bool(environ.get(VARIABLE))


def parent_pid(environ: Mapping[str, str]) -> int | None:
    """Return the PID of gunicorn's parent process.

    None where the processes do not share their metrics.
    """
    name = Path(environ.get(VARIABLE, "")).name
    pid = name.removeprefix(_PREFIX).partition("-")[0]
    return int(pid) if name.startswith(_PREFIX) and pid.isdigit() else None


def _locked(prefix: str) -> Path:
    """Return a new directory; it has its final name only once it is locked."""
    made = Path(tempfile.mkdtemp(prefix=f"new-{prefix}"))
    try:
        # Not closed here: the lock ends with the last process that holds the descriptor.
        _lock(os.open(made / _LOCK, os.O_CREAT | os.O_RDWR, 0o600))
        return made.rename(made.with_name(made.name.removeprefix("new-")))
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _lock(descriptor: int) -> bool:
    """Return False if another process has the lock or the file system supports none."""
    # Imported here, as Windows has no fcntl; gunicorn does not run there either.
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
