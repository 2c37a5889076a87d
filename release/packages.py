"""The packages that the extras bring, with versions and licences: ``release/packages.json``.

``make licences`` writes the file from what the package index says of the versions in
constraints.txt. All else reads the file, so that it needs no network and gives the same result
everywhere.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement

from release.commands import ROOT

FILE: Final = Path(__file__).with_name("packages.json")
#: The extras for those who change the project.
FOR_DEVELOPERS: Final = frozenset({"bench", "dev", "docs", "fuzz", "release"})
#: The name of the packages that every installation has.
PLAIN: Final = ""
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
#: The platform that the dependencies are those of.
_LINUX: Final = {
    "sys_platform": "linux",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "os_name": "posix",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package."""

    version: str
    licence: str
    """An SPDX expression."""

    requires: tuple[str, ...]
    """The packages that it needs, such as ``flask`` and ``ray[serve]``; see ``name_of``."""

    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each of its extras needs beyond, of those that somebody needs."""


def normalized(name: str) -> str:
    """Return a name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(text: str | None = None) -> dict[str, Package]:
    """Return the packages by normalized name, from the text or from the file."""
    document = json.loads(FILE.read_text(encoding="utf-8") if text is None else text)
    return {
        name: Package(
            row["version"],
            row["licence"],
            tuple(row["requires"]),
            {extra: tuple(needed) for extra, needed in row["extras"].items()},
        )
        for name, row in document.items()
    }


def written(packages: Mapping[str, Package]) -> str:
    """Return the text of the file: one line per package, in the order of the names."""
    rows = (
        f"{json.dumps(name)}: {json.dumps(asdict(packages[name]))}" for name in sorted(packages)
    )
    return "{\n" + ",\n".join(rows) + "\n}\n"


def pins(root: Path = ROOT) -> dict[str, str]:
    """Return the versions of constraints.txt by normalized name."""
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    return {normalized(name): version for name, version in _PIN.findall(text)}


def extras(root: Path = ROOT) -> dict[str, list[Requirement]]:
    """Return the requirements of each extra on Linux, and of ``PLAIN``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = {PLAIN: project["dependencies"], **project["optional-dependencies"]}
    return {extra: list(_used(map(Requirement, found))) for extra, found in lines.items()}


def _used(requirements: Iterable[Requirement]) -> Iterator[Requirement]:
    environment = {name: str(value) for name, value in default_environment().items()} | _LINUX
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def name_of(requirement: Requirement) -> str:
    """Return the normalized name, with the wanted extras in brackets if there are any."""
    wanted = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return normalized(requirement.name) + wanted


def direct(extra: str, known: Mapping[str, list[Requirement]], own: str) -> set[str]:
    """Return the packages that an extra names, with those of extras of the project that it names.

    ``own`` is the name of the project.
    """
    names: set[str] = set()
    for requirement in known[extra]:
        if normalized(requirement.name) == own:
            for other in requirement.extras:
                names |= direct(other, known, own)
        else:
            names.add(name_of(requirement))
    return names


def closure(names: Iterable[str], packages: Mapping[str, Package]) -> list[str]:
    """Return the names with all that they need in turn, sorted and without extras.

    Raises KeyError for a package or an extra that is unknown.
    """
    waiting, seen = list(names), set[str]()
    while waiting:
        wanted = waiting.pop()
        if wanted not in seen:
            seen.add(wanted)
            waiting += needs(wanted, packages)
    return sorted({plain(wanted) for wanted in seen})


def needs(wanted: str, packages: Mapping[str, Package]) -> list[str]:
    """Return what a package needs, with the extras that are named."""
    package = packages[plain(wanted)]
    extras_named = filter(None, wanted.partition("[")[2].rstrip("]").split(","))
    return [*package.requires, *(name for e in extras_named for name in package.extras[e])]


def plain(wanted: str) -> str:
    """Return the name of a package without extras."""
    return wanted.partition("[")[0]
