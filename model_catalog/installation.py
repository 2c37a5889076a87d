"""Say whether the code lies in a checkout, and how its optional packages are installed."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "image-classification-gateway"
#: The folder that the packages lie in: a checkout or ``site-packages``.
CODE = Path(__file__).resolve().parent.parent


def is_checkout(code: Path = CODE) -> bool:
    """Tell whether the folder is a checkout of the project; otherwise a wheel was installed."""
    try:
        text = (code / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return f'name = "{PACKAGE}"' in text  # packages exist that put a pyproject.toml of theirs there


def install_command(*extras: str) -> str:
    """Return the shell command that installs extras of the project for this interpreter."""
    wanted = f"[{','.join(extras)}]" if extras else ""
    if not is_checkout(CODE):
        return f"{shlex.quote(sys.executable)} -m pip install '{PACKAGE}{wanted}'"
    own = Path(sys.prefix) == CODE / ".venv"
    python = ".venv/bin/python" if own else shlex.quote(sys.executable)
    elsewhere = "" if is_current(CODE) else f"cd {shlex.quote(str(CODE))} && "
    return f"{elsewhere}{python} -m pip install -c constraints.txt -e '.{wanted}'"


def is_current(folder: Path) -> bool:
    """Tell whether a folder is the current one; False where the current one was removed."""
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:
        return False


def supervisor_command(code: Path = CODE) -> str:
    """Return the command that starts and stops both servers."""
    return "auto_cmd.py" if is_checkout(code) else "serving-gateway"


def export_command() -> str:
    """Return the command that exports a Keras model, without its options."""
    if is_checkout(CODE):
        return ".venv/bin/python scripts/export_saved_model.py"
    return "serving-gateway export"


def quantize_command() -> str:
    """Return the command that makes the int8 form of an export, without its options."""
    if is_checkout(CODE):
        return ".venv/bin/python scripts/quantize_model.py"
    return "serving-gateway quantize"


def require(extra: str, *modules: str) -> None:
    """End the program with one sentence if a module of the extra is not installed.

    An empty extra stands for what every installation has.
    """
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        command = install_command(*filter(None, [extra]))
        sys.exit(f"{missing[0]} is not installed; run {command}")


def is_installed(module: str) -> bool:
    """Tell whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
