"""Give all scripts the same exit codes, messages of one line, and shared types of options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from model_catalog.errors import CatalogError
from model_catalog.installation import install_command
from model_catalog.terminal_text import printable
from scripts.errors import ScriptError


def run(work: Callable[[], object]) -> int:
    """Run the work and return 0 (done), 1 (failed) or 130 (interrupted); argparse exits with 2."""
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
    """Return the error as one line that names the file or the remedy."""
    if isinstance(error, ImportError):
        return f"{error}; run {install_command(*_extras_with(error.name))}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{error.filename}: {error.strerror}")
    return printable(" ".join(str(error).split()))


def count(text: str) -> int:
    """Parse a whole number of 1 or more; for argparse."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; allowed is 1 or more")
    return int(text)


def _extras_with(module: str | None) -> tuple[str, ...]:
    """Return the extras that bring a module; none for what every installation has."""
    if module in {"requests", "tomlkit", "tqdm"}:
        return ()
    if module in {"nncf", "openvino"}:
        return ("quantize",)
    return ("dev",) if module == "sklearn" else ("tensorflow", "export")
