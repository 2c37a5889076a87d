"""Write ``release/packages.json``: ask the package index for the metadata of all packages.

pip resolves the extras with the versions of constraints.txt and installs nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from model_catalog.installation import PACKAGE
from release.commands import ROOT, ReleaseError, output
from release.licences import licence
from release.packages import FILE, Package, extras, name_of, normalized, written

#: Extras that exclude others, which are resolved alone.
_ALONE: Final = ("gpu", "ray")


def main() -> int:
    """Write the file; return 1 and name the packages whose licence is unknown if there are any."""
    try:
        reports = [_report(group) for group in groups()]
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    found = merged(reports)
    unknown = sorted(name for name, package in found.items() if package is None)
    if unknown:
        told = ", ".join(unknown)
        sys.stderr.write(f"The licence is unknown of {told}; add them to release/licences.py.\n")
        return 1
    known = {name: package for name, package in found.items() if package is not None}
    FILE.write_text(written(known), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(ROOT)}: {len(known)} packages\n")
    return 0


def groups() -> Iterator[list[str]]:
    """Yield the requirements of extras that can be installed together."""
    known = extras()
    yield sorted(set(_lines(e for name, e in known.items() if name not in _ALONE)))
    for name in _ALONE:
        yield sorted(set(_lines([known[name]])))


def _lines(requirements: Iterable[list[Requirement]]) -> Iterator[str]:
    for group in requirements:
        yield from (str(line) for line in group if normalized(line.name) != PACKAGE)


def _report(requirements: list[str]) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        listed.write_text("\n".join(requirements), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--dry-run", "--ignore-installed", "-c", "constraints.txt", "-r", str(listed)]
        output([*pip, *options, "--report", str(report)])
        document: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return document


def packages(report: Mapping[str, Any]) -> dict[str, Package | None]:
    """Return the packages of pip's report by normalized name; None for an unknown licence."""
    items = {normalized(item["metadata"]["name"]): item for item in report["install"]}
    environment: Mapping[str, str] = report["environment"]
    lines = {name: _lines_of(item["metadata"], items.keys()) for name, item in items.items()}
    wanted = {name: set(item.get("requested_extras", ())) for name, item in items.items()}
    while any(_ask_for_extras(name, lines[name], wanted, environment) for name in items):
        pass  # an extra may need packages with extras
    found: dict[str, Package | None] = {}
    for name, item in items.items():
        base = _needed(lines[name], environment, "")
        extras_of = {
            extra: tuple(sorted(_needed(lines[name], environment, extra) - base))
            for extra in sorted(wanted[name])
        }
        spdx = licence(name, item["metadata"])
        version = str(item["metadata"]["version"])
        found[name] = Package(version, spdx, tuple(sorted(base)), extras_of) if spdx else None
    return found


def _lines_of(metadata: Mapping[str, Any], installed: Collection[str]) -> list[Requirement]:
    lines = map(Requirement, metadata.get("requires_dist", ()))
    return [line for line in lines if normalized(line.name) in installed]


def _ask_for_extras(
    name: str,
    lines: list[Requirement],
    wanted: Mapping[str, set[str]],
    environment: Mapping[str, str],
) -> bool:
    """Add the extras that a package needs of others; tell whether some are new."""
    before = sum(map(len, wanted.values()))
    for line in lines:
        if any(_is_needed(line, environment, extra) for extra in ("", *wanted[name])):
            wanted[normalized(line.name)].update(line.extras)
    return sum(map(len, wanted.values())) > before


def _is_needed(line: Requirement, environment: Mapping[str, str], extra: str) -> bool:
    return line.marker is None or line.marker.evaluate({**environment, "extra": extra})


def _needed(lines: list[Requirement], environment: Mapping[str, str], extra: str) -> set[str]:
    """Return what a package needs with an extra, or without one if it is empty."""
    return {name_of(line) for line in lines if _is_needed(line, environment, extra)}


def merged(reports: Iterable[Mapping[str, Any]]) -> dict[str, Package | None]:
    """Return the packages of all reports; of a package in several, the extras of all of them."""
    found: dict[str, Package | None] = {}
    for report in reports:
        for name, package in packages(report).items():
            before = found.get(name)
            if package is not None and before is not None:
                package = replace(
                    package,
                    requires=tuple(sorted({*before.requires, *package.requires})),
                    extras={**before.extras, **package.extras},
                )
            found[name] = package
    return found


if __name__ == "__main__":
    sys.exit(main())
