"""Keep the results of each kind of processor in one JSON file that is replaced atomically.

Each section is saved as soon as it is measured, so an interrupted run loses only its current
section.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks import fixtures, machine, table, targets
from benchmarks.figures import Json
from benchmarks.processor_kinds import KINDS, OTHER, Kind, kind_of

FOLDER = Path(__file__).parent / "results"
#: Results of short runs, which compare nothing and must not replace those of whole runs.
SHORT_FOLDER = fixtures.FOLDER / "short"
README = Path(__file__).with_name("README.md")


def kind(document: Json) -> Kind:
    """Return the kind of the processor that the results were measured on."""
    return kind_of(document["machine"]["features"])


def path_of(document: Json) -> Path:
    """Return the file for results of this kind of processor."""
    folder = SHORT_FOLDER if document["short"] else FOLDER
    return folder / kind(document).name / "results.json"


def kept() -> list[Json]:
    """Return the documents on disk, in the order of the kinds."""
    paths = [FOLDER / each.name / "results.json" for each in (*KINDS, OTHER)]
    return [loaded(path) for path in paths if path.is_file()]


def fresh(*, short: bool) -> Json:
    """Return a document without results."""
    described = machine.describe()
    return {
        "machine": described,
        "started": machine.now(),
        "finished": machine.now(),
        "short": short,
        "sections": {},
        "targets": targets.verdicts({}, kind_of(described["features"])),
    }


def continued(path: Path | None = None, *, short: bool) -> Json:
    """Return a new document with the sections of the one on disk, if there is one."""
    document = fresh(short=short)
    path = path or path_of(document)
    if path.is_file():
        document["sections"] = _with_commits(loaded(path))
    return document


def _with_commits(document: Json) -> Json:
    """Return the sections; one without a commit was measured at that of its document."""
    commit = {"commit": document["machine"]["commit"]}
    return {name: commit | section for name, section in document["sections"].items()}


def loaded(path: Path) -> Json:
    """Return a document on disk."""
    document: Json = json.loads(path.read_text())
    return document


def add(document: Json, name: str, section: Json, path: Path | None = None) -> None:
    """Add a section with the commit of this run, evaluate the targets again and save."""
    document["sections"][name] = section | {"commit": document["machine"]["commit"]}
    document["finished"] = machine.now()
    judged(document, path)


def judged(document: Json, path: Path | None = None) -> Json:
    """Evaluate the targets by the measured sections, save and return the document."""
    document["targets"] = targets.verdicts(document["sections"], kind(document))
    save(document, path or path_of(document))
    return document


def save(document: Json, path: Path) -> None:
    """Write the document atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(draft, path)


def publish(readme: Path = README) -> None:
    """Write the tables of all kinds into the README, and draw their plots beside the results."""
    from benchmarks import plots

    documents = kept()
    readme.write_text(table.between_markers(readme.read_text(), table.report(documents)))
    for document in documents:
        plots.draw(document["sections"], path_of(document).parent)
