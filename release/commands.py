"""Run the programs that a release needs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """A step of the release failed; the text says which, and what the program said."""


def run(
    argv: Sequence[str | Path], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its output and exit code; it gets a umask of 022."""
    return subprocess.run(  # noqa: S603 - the commands of this package
        [str(word) for word in argv],
        cwd=cwd,
        env=env,
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )


def output(
    argv: Sequence[str | Path], cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> str:
    """Return what a program prints, or raise ReleaseError with the end of its messages."""
    try:
        done = run(argv, cwd, env)
    except OSError as error:
        raise ReleaseError(f"{argv[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ReleaseError(f"{' '.join(map(str, argv))} failed:\n{said}")
    return done.stdout
