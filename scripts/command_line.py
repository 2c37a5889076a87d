"""End every script alike: exit code 0, 1 or 130, and one line on stderr instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from model_catalog.errors import CatalogError
from scripts.errors import ScriptError


def run(work: Callable[[], object]) -> int:
    """Do the work and return the exit code; argparse itself exits with 2."""
    try:
        work()
    except (ScriptError, CatalogError, ImportError, OSError) as error:
        print(sentence(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def sentence(error: Exception) -> str:
    """Return the error as one line that says what to do or which file is meant."""
    if isinstance(error, ImportError):
        return f"{error}; pip install -e '.[embedded,export,dev]' brings what the scripts need."
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
