"""Read ``models.toml``: the models, their folders and the servers that serve them.

Reading opens the file itself and the label files that it names. The model folders are checked
separately (``require_folders``), since they need not exist on the gateway's machine. Every error is
a ``ModelsFileError`` that names the file, the key and the allowed values.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from model_catalog.errors import ModelsFileError, value_error
from model_catalog.model_entry import ModelEntry
from model_catalog.model_table import read_table


@dataclass(frozen=True, slots=True)
class ModelsFile:
    """All entries in the order of the file; the first is the default model."""

    path: Path
    entries: tuple[ModelEntry, ...]

    @property
    def default(self) -> ModelEntry:
        """The model that ``/imageclassifier/predict/`` uses."""
        return self.entries[0]

    def require_folders(self) -> None:
        """Raise ModelsFileError if the base path of a model without ``serving_url`` is missing."""
        for entry in self.entries:
            # Path.is_dir raises where it may not look
            if entry.serving_url is None and not os.path.isdir(entry.base_path):
                start = f"{self.path}: models.{entry.name}.base_path:"
                allowed = "a folder with one sub-folder per version (1, 2, …)"
                end = f"is not a folder; allowed is {allowed}."
                raise ModelsFileError(
                    f"{start} {entry.base_path} {end}",
                    for_clients=f"{start} {entry.base_path.name} {end}",
                )

    def refuse_logging(self) -> None:
        """Raise ModelsFileError if requests are to be logged: TensorFlow Serving cannot do that."""
        for entry in self.entries:
            if entry.logging is not None and entry.serving_url is None:
                raise ModelsFileError(
                    f"{self.path}: models.{entry.name}.logging: only the embedded server logs "
                    "requests; remove this key or start with --serving embedded."
                )


def load_models_file(path: Path) -> ModelsFile:
    """Read a models file, or raise ModelsFileError."""
    path = path.absolute()
    try:
        return parse_models_file(read_text(path), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelsFileError(f"The models file {path} cannot be read: {error}") from error


def read_text(path: Path) -> str:
    """Return the text of a models file, without the byte order mark that some editors write."""
    return path.read_text(encoding="utf-8-sig")


def parse_models_file(text: str, path: Path) -> ModelsFile:
    """Parse the text of a models file; relative paths are relative to the folder of ``path``."""
    try:
        document = tomllib.loads(text)
    # Also raised for integers of too many digits and for deep nesting.
    except (ValueError, RecursionError) as error:
        raise ModelsFileError(f"{path}: not TOML: {error}") from error
    for key in document:
        if key != "models":
            raise value_error(path, key, document[key], "only the table models", hidden=True)
    tables = document.get("models")
    if not isinstance(tables, dict) or not tables:
        allowed = "one table [models.<name>] per model, at least one"
        raise value_error(path, "models", tables, allowed, hidden=True)
    entries = tuple(read_table(path, name, table) for name, table in tables.items())
    _distinct(path, [entry.name for entry in entries])
    return ModelsFile(path, entries)


def _distinct(path: Path, names: list[str]) -> None:
    """Refuse names that differ in case only, which are easily confused."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise value_error(
                path,
                f"models.{name}",
                name,
                f"a name that differs from models.{twin} in more than upper and lower case",
            )
