"""Keep the directory through which the worker processes share their metrics.

prometheus_client reads its place from the environment when it is imported, so gunicorn's master
makes the directory before anything else. It is new for every master (numbers of another run would
be added to ours), the same after a reload, and gone when the master ends.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def make(environ: MutableMapping[str, str]) -> Path:
    """Return this process's directory, named in ``environ``; the first call makes it."""
    master = os.getpid()
    prefix = f"gateway-metrics-{master}-"
    before = Path(environ.get(VARIABLE, ""))
    if before.name.startswith(prefix) and before.is_dir():
        return before
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    environ[VARIABLE] = str(directory)
    atexit.register(_remove, directory, master)
    return directory


def shared(environ: MutableMapping[str, str]) -> bool:
    """Tell whether metrics are shared between processes here."""
    return bool(environ.get(VARIABLE))


def _remove(directory: Path, owner: int) -> None:
    # Forked workers inherit the exit handler, not the directory.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
