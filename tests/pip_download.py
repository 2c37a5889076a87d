"""Packages that only the tests need, for the files in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

#: What pip says if no package index answers. Its last line is the same for a version that does not
#: exist, which is an error of the test.
_NO_NETWORK = re.compile(
    "Retrying|Connection|resolution|resolve host|Name or service|not a trusted or secure host"
)
_ERROR_CHARACTERS = 2000


class Unreachable(Exception):
    """No package index can be reached."""


def wheel(requirement: str, folder: Path) -> Path:
    """Download the wheel of a package into a folder; raise Unreachable without a network.

    Any other failure of pip is an AssertionError with its messages.
    """
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    options = ["--no-deps", "--retries=1", "--timeout=10", "-d", str(folder), requirement]
    done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    require_download(done.returncode, done.stderr)
    return next(folder.glob("*.whl"))


def require_download(exit_code: int, messages: str) -> None:
    """Raise Unreachable or an AssertionError if pip has failed."""
    if exit_code and _NO_NETWORK.search(messages):
        raise Unreachable
    assert exit_code == 0, messages[-_ERROR_CHARACTERS:]
