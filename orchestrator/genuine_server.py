"""Find TensorFlow Serving's own program on PATH.

The embedded model server has a command of the same name, so that command lines written for
TensorFlow Serving run with it. Wherever the genuine server is meant, that command does not count.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NATIVE = "tensorflow_model_server"
#: Longer than the few lines that an installer writes into a command.
_SCRIPT_BYTES = 4096
_VERSION_S = 10.0


def which(program: str) -> str | None:
    """Return the path of a program; of ``tensorflow_model_server``, that of the genuine one."""
    if program == NATIVE:
        return find_genuine(os.environ.get("PATH", os.defpath))
    return shutil.which(program)


def find_genuine(path: str) -> str | None:
    """Return the first ``tensorflow_model_server`` of the folders in ``path`` that is genuine."""
    for folder in path.split(os.pathsep):
        program = shutil.which(NATIVE, path=folder) if folder else None
        if program is not None and not is_embedded(Path(program)):
            return program
    return None


def is_embedded(program: Path) -> bool:
    """Tell whether a program starts the embedded server.

    A binary is the genuine server. A script is the embedded one if it imports ``model_server``,
    as the command in an environment does. Any other script, such as the one that a version manager
    puts on PATH, is asked for its version.
    """
    try:
        with program.open("rb") as file:
            start = file.read(_SCRIPT_BYTES)
    except OSError:  # it may be run and not read
        return False
    if not start.startswith(b"#!"):
        return False
    return b"from model_server" in start or b"(embedded)" in _version(program)


def _version(program: Path) -> bytes:
    """Return what the program prints for ``--version``; nothing if it does not end soon."""
    try:
        done = subprocess.run(  # noqa: S603 - auto_cmd would start the same program
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_VERSION_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout
