"""Keep the results in one JSON file that is replaced atomically.

Each section is saved as soon as it is measured, so an interrupted run loses only its current
section.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks import machine, table, targets
from benchmarks.figures import Json

FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"
README = Path(__file__).with_name("README.md")


def fresh(*, short: bool) -> Json:
    """Return a document without results."""
    return {
        "machine": machine.describe(),
        "started": machine.now(),
        "finished": machine.now(),
        "short": short,
        "sections": {},
        "targets": targets.verdicts({}),
    }


def continued(path: Path = LATEST, *, short: bool) -> Json:
    """Return a new document with the sections of the one on disk, if there is one."""
    document = fresh(short=short)
    if path.is_file():
        document["sections"] = loaded(path)["sections"]
    return document


def loaded(path: Path = LATEST) -> Json:
    """Return the document on disk."""
    document: Json = json.loads(path.read_text())
    return document


def add(document: Json, name: str, section: Json, path: Path = LATEST) -> None:
    """Add a section, evaluate the targets again and save."""
    document["sections"][name] = section
    document["finished"] = machine.now()
    judged(document, path)


def judged(document: Json, path: Path = LATEST) -> Json:
    """Evaluate the targets by the measured sections, save and return the document."""
    document["targets"] = targets.verdicts(document["sections"])
    save(document, path)
    return document


def save(document: Json, path: Path) -> None:
    """Write the document atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(draft, path)


def publish(document: Json, readme: Path = README) -> None:
    """Write the tables into the README and draw the plots beside the results."""
    from benchmarks import plots

    readme.write_text(table.between_markers(readme.read_text(), table.report(document)))
    plots.draw(document["sections"], FOLDER)
