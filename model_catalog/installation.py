"""Say where the project lies, and how its optional packages are installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "image-classification-gateway"
_ROOT = Path(__file__).resolve().parent.parent


def is_checkout() -> bool:
    """Tell whether this code lies in a checkout of the project; otherwise a wheel installed it."""
    return (_ROOT / "pyproject.toml").is_file()


def project_folder() -> Path:
    """Return the folder of ``models.toml``: the checkout, or else the current folder."""
    return _ROOT if is_checkout() else Path.cwd()


def install_command(*extras: str) -> str:
    """Return the shell command that installs extras of the project for this interpreter."""
    wanted = f"[{','.join(extras)}]"
    if not is_checkout():
        return f"{sys.executable} -m pip install '{PACKAGE}{wanted}'"
    own = Path(sys.prefix) == _ROOT / ".venv"
    python = ".venv/bin/python" if own else sys.executable
    return f"{python} -m pip install -c constraints.txt -e '.{wanted}'"


def require(extra: str, *modules: str) -> None:
    """End the program with one sentence if a module of the extra is not installed."""
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        sys.exit(f"{missing[0]} is not installed; run {install_command(extra)}")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
