"""Change ``models.toml`` in one step and keep its comments, order and layout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit

from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile, load_models_file, parse_models_file, read_text
from scripts import atomic_file
from scripts.errors import ScriptError


def entry_of(models: ModelsFile, name: str) -> ModelEntry:
    """Return the entry of a model, or raise ScriptError."""
    for entry in models.entries:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in models.entries)
    raise ScriptError(f"{models.path} has no model {name!r}; known are {known}.")


def add_model(path: Path, name: str, values: Mapping[str, Any]) -> ModelEntry:
    """Append a model to the file, which is made with its folder if need be; return its entry.

    Raises ScriptError if the file has a model of this name, and ModelsFileError for values that are
    not allowed; the file then stays as it was.
    """
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        before = read_text(path) if path.exists() else ""
        if before.strip() and name in {e.name for e in parse_models_file(before, path).entries}:
            raise ScriptError(f"{path} has a model {name} already; choose another name.")
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        text = before + gap + lines_of(name, values)
        added = entry_of(parse_models_file(text, path.absolute()), name)
        atomic_file.write_text(path, [text])
    return added


def lines_of(name: str, values: Mapping[str, Any]) -> str:
    """Return the lines of a model, such as ``[models.digits]``."""
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _inline(value))
    models = tomlkit.table(is_super_table=True)
    models.add(name, table)
    return tomlkit.dumps(tomlkit.document().add("models", models))


def _inline(value: Any) -> Any:  # noqa: ANN401 - a value of TOML
    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    table.update(value)
    return table


def set_versions(path: Path, name: str, decide: Callable[[ModelEntry], Mapping[str, Any]]) -> bool:
    """Set ``versions`` and ``version_labels`` of a model as decided; return whether they changed.

    ``decide`` gets the present entry. Raises what it raises; the file then stays as it was.
    """
    with locked(path):
        models = load_models_file(path)
        values = decide(entry_of(models, name))
        before = read_text(path)
        document: Any = tomlkit.parse(before)
        table = document["models"][name]
        for key, value in values.items():
            _set(table, key, value)
        text = tomlkit.dumps(document)
        parse_models_file(text, path.absolute())
        if text != before:
            atomic_file.write_text(path, [text])
    return text != before


def _set(table: Any, key: str, value: Any) -> None:  # noqa: ANN401 - containers of tomlkit
    """Set a key, and leave what is the same as it is written."""
    if not isinstance(value, Mapping):
        plain = list(value) if isinstance(value, tuple) else value
        if key not in table or table[key] != plain:
            table[key] = plain
        return
    if key not in table:
        table[key] = _inline(value)
        return
    for old in [old for old in table[key] if old not in value]:
        del table[key][old]
    for name, number in value.items():
        if table[key].get(name) != number:
            table[key][name] = number


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one of these programs at a time change the file; the lock is on its folder."""
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
