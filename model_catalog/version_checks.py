"""Find what speaks against a version that a server can load: random answers, the wrong server.

Folders are only read. A version that cannot be read has no finding here; ``folders`` names it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.folders import Fault, version_folders
from model_catalog.graph_files import graph_file_of
from model_catalog.installation import export_command
from model_catalog.models_file import ModelEntry
from model_catalog.random_operations import random_operations


def served_versions(entry: ModelEntry) -> dict[int, Path]:
    """Return the folders of the versions that the models file has served; none if unreadable."""
    try:
        found = version_folders(entry.base_path)
    except OSError:
        return {}
    if entry.versions == "all":
        return found
    numbers = {max(found, default=0)} if entry.versions == "latest" else set(entry.versions)
    return {number: path for number, path in found.items() if number in numbers}


def random_faults(entry: ModelEntry) -> Iterator[Fault]:
    """Yield a note for each served version whose scores are random."""
    for path in served_versions(entry).values():
        text = random_text(path, entry.signature)
        if text is not None:
            again = f"{export_command()} --model FILE --base-path {shlex.quote(str(path.parent))}"
            fix = f"{again}, with the original Keras file, writes a version without them"
            yield Fault(text, fix, is_error=False)


def random_text(version: Path, signature: str) -> str | None:
    """Return what is random in a signature; None if nothing is, or if it has no readable graph."""
    try:
        found = random_operations((version / "saved_model.pb").read_bytes(), signature)
    except (OSError, CatalogError):
        return None
    if not found:
        return None
    return (
        f"version {version.name} answers the same image differently each time: its"
        f" {signature} reaches random operations ({', '.join(found)}), as augmentation"
        " layers have them that Keras's model.export() leaves switched on"
    )


def faults_of_genuine_server(entry: ModelEntry) -> Iterator[Fault]:
    """Yield a fault for each served version that TensorFlow Serving cannot load."""
    for path in served_versions(entry).values():
        file = graph_file_of(path)
        if file is not None:
            yield Fault(
                f"{file} is no SavedModel, so TensorFlow Serving cannot load it",
                "serve it with --serving embedded, which runs it with OpenVINO",
            )
