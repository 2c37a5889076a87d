"""List, add, promote, roll back, compare and remove versions of models.

    python scripts/models.py promote digits 2 --label stable

is the same as ``serving-gateway models``: it changes ``models.toml`` and waits until the gateway
answers accordingly.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from serving_gateway.command_line import guarded
from serving_gateway.models import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run one action; exit codes 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    return guarded(lambda: run(words, "models.py"))


if __name__ == "__main__":
    sys.exit(main())
