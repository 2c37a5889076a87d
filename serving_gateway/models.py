"""Manage the models: ``serving-gateway models list``, and the actions of ``model_actions``.

Each action is a row of ``ACTIONS``: its name, the function that declares its options, and the one
that runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from model_catalog.folders import version_folders
from model_catalog.model_entry import ModelEntry
from model_catalog.serving_addresses import is_grpc_address, serving_addresses
from orchestrator.models.model_health import ServedVersions, served_versions, unusable_models
from scripts.errors import ScriptError
from serving_gateway.instance import instance_of
from serving_gateway.model_actions.action import Action
from serving_gateway.model_actions.add import ADD
from serving_gateway.model_actions.compare import COMPARE
from serving_gateway.model_actions.promote import PROMOTE, ROLLBACK
from serving_gateway.model_actions.prune import PRUNE

ON_DISK = "on disk"
_NO_ANSWER = "no answer"
_NOT_ASKED = "not asked, as its address is a gRPC port"
_HEADER = ("MODEL", "VERSION", "STATE", "LABELS", "FOLDER")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One version of a model; a model without a version has one row too."""

    model: str
    version: int | None
    state: str
    """The state that Serving tells, ``on disk`` where nothing runs, or why neither is known."""

    labels: tuple[str, ...]
    """The version labels that name this version."""

    folder: str
    """The folder of the version; empty where another machine has it."""


def main(argv: Sequence[str], program: str) -> int:
    """Run one action, ``list`` where none is named; return its exit code."""
    return run(argv, f"{program} models")


def run(argv: Sequence[str], prog: str) -> int:
    """Run one action of the command that is called ``prog`` in the help."""
    is_named = bool(argv) and (not argv[0].startswith("-") or argv[0] in {"-h", "--help"})
    options = parser(prog).parse_args(argv if is_named else ["list", *argv])
    try:
        return ACTIONS[options.action].run(options)
    except ScriptError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the command line of all actions."""
    top = argparse.ArgumentParser(
        prog=prog,
        description="List the models with their versions, and change which version is served; the "
        "action list is the default.",
    )
    subparsers = top.add_subparsers(dest="action", required=True)
    for name, action in ACTIONS.items():
        sub = subparsers.add_parser(
            name, help=action.help, description=f"{action.help[0].upper()}{action.help[1:]}."
        )
        sub.add_argument("--run-dir", type=Path, help="folder for state and logs of the instance")
        sub.add_argument("--models-file", type=Path, help="models file")
        action.add_options(sub)
    return top


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _list(options: argparse.Namespace) -> int:
    place = instance_of(options)
    path, running = place.models_file, place.running
    rows = [row for entry in place.models().entries for row in rows_of(entry, place.serving(entry))]
    unusable = unusable_models(running) if running else {}
    if options.json:
        document = {"running": running is not None, "models_file": str(path), "unusable": unusable}
        document["versions"] = [asdict(row) for row in rows]
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(table(rows))
    if running is None:
        sys.stdout.write(f"nothing is running; the versions are those of {path}\n")
    for name, reason in unusable.items():
        sys.stdout.write(f"model {name} is not ready: {reason}\n")
    return 0


def rows_of(entry: ModelEntry, serving_url: str | None) -> Iterator[Row]:
    """Return the rows of a model, with the states that the Serving at the URL tells."""
    folders, problem = _folders(entry)
    # Of several addresses, the first that answers tells.
    asked = (served_versions(address, entry.name) for address in _rest_addresses(serving_url))
    served = next((each for each in asked if each is not None), None)
    states = states_of(served, folders, is_asked=serving_url is not None)
    if not states:
        folder = "" if entry.serving_url else str(entry.base_path)
        yield Row(
            model=entry.name,
            version=None,
            state=problem or "no version",
            labels=(),
            folder=folder,
        )
    for version, state in sorted(states.items()):
        labels = tuple(label for label, to in entry.version_labels.items() if to == version)
        yield Row(
            model=entry.name,
            version=version,
            state=state,
            labels=labels,
            folder=str(folders.get(version, "")),
        )


def _rest_addresses(serving_url: str | None) -> list[str]:
    addresses = serving_addresses(serving_url) if serving_url else ()
    return [address for address in addresses if not is_grpc_address(address)]


def _folders(entry: ModelEntry) -> tuple[Mapping[int, Path], str]:
    """Return the version folders, and why there are none where they cannot be read."""
    if entry.serving_url is not None:
        return {}, _NO_ANSWER if _rest_addresses(entry.serving_url) else _NOT_ASKED
    try:
        return version_folders(entry.base_path), ""
    except OSError as error:
        return {}, f"{error.strerror}"


def states_of(
    served: ServedVersions | None, folders: Mapping[int, Path], *, is_asked: bool
) -> dict[int, str]:
    """Return the state of each version that Serving tells or that has a folder."""
    if served is None:
        return dict.fromkeys(folders, f"{ON_DISK}, {_NO_ANSWER}" if is_asked else ON_DISK)
    return dict.fromkeys(folders, "not served") | served.states


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    cells = [_HEADER]
    for row in rows:
        version = "-" if row.version is None else str(row.version)
        labels = ", ".join(row.labels) or "-"
        cells.append((row.model, version, row.state, labels, row.folder or "-"))
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER) - 1)]
    pattern = "  ".join(f"{{:{width}}}" for width in widths) + "  {}\n"
    return "".join(pattern.format(*line) for line in cells)


ACTIONS: Mapping[str, Action] = {
    "list": Action("list the models with their versions and states", _list_options, _list),
    "add": ADD,
    "promote": PROMOTE,
    "rollback": ROLLBACK,
    "compare": COMPARE,
    "prune": PRUNE,
}
