"""List the packages of the project's extras, from pyproject.toml or from the installed wheel."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from model_catalog.installation import CODE, PACKAGE, is_checkout

#: Alternative packages: one engine is enough, and the platform decides on the name of TensorFlow.
ENGINES = ["openvino", "tensorflow-cpu", "tensorflow"]


def required_packages(*extras: str, code: Path = CODE) -> list[list[str]]:
    """Return the packages of extras in pyproject.toml, each as a group of alternative names.

    ``code`` is the folder that the packages lie in.
    """
    lines = (line for extra in extras for line in _requirements(extra, code))
    names = dict.fromkeys(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)
    groups = [ENGINES if name in ENGINES else [name] for name in names]
    return [group for at, group in enumerate(groups) if group not in groups[:at]]


def _requirements(extra: str, code: Path) -> list[str]:
    if is_checkout(code):
        with (code / "pyproject.toml").open("rb") as file:
            declared: list[str] = tomllib.load(file)["project"]["optional-dependencies"][extra]
        return declared
    try:
        lines = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:  # copied without pip
        return []
    suffix = re.compile(rf"""extra == ["']{extra}["']\)?$""")
    return [line for line in lines if suffix.search(line)]
