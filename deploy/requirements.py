"""Print what extras of pyproject.toml install, one a line: ``requirements.py gateway redis``.

The images install them without the project's own dependencies, which are those of both servers.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

WRONG_USAGE = 2


def main(extras: Sequence[str]) -> int:
    """Print the requirements of all extras; return 2 if one of them does not exist."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    known: dict[str, list[str]] = project["optional-dependencies"]
    for extra in extras:
        if extra not in known:
            sys.stderr.write(f"There is no extra {extra!r}; known are {', '.join(known)}.\n")
            return WRONG_USAGE
    requirements = {requirement for extra in extras for requirement in known[extra]}
    sys.stdout.write("".join(f"{requirement}\n" for requirement in sorted(requirements)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
