"""The keys of ``models.toml`` and the fields of a model spec, from their classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields

from docs.generator.markdown import docstrings, one_line, table
from model_catalog import boxes, spec
from model_catalog.boxes import BoxesSpec
from model_catalog.model_entry import LoggingEntry, ModelEntry
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec

_REQUIRED = "required"
#: The constants that docstrings name, as the values that they have.
_VALUES = {
    name: ", ".join(f"`{value}`" for value in values)
    for name, values in {
        "TASKS": spec.TASKS,
        "BOX_FORMATS": boxes.BOX_FORMATS,
        "LAYOUTS": boxes.LAYOUTS,
    }.items()
}
_CONSTANT = re.compile(f"`({'|'.join(_VALUES)})`")


def model_keys() -> str:
    """Return the keys of a ``[models.<name>]`` table; its name is no key."""
    return _fields("key", ModelEntry, without=frozenset({"name"}))


def input_keys() -> str:
    """Return the keys of ``input``."""
    return _fields("key", InputSpec)


def boxes_keys() -> str:
    """Return the keys of ``boxes``."""
    return _fields("key", BoxesSpec)


def logging_keys() -> str:
    """Return the keys of ``logging``."""
    return _fields("key", LoggingEntry)


def spec_fields() -> str:
    """Return the fields of a model spec."""
    return _fields("field", ModelSpec)


def output_fields() -> str:
    """Return the fields of ``output`` in a model spec."""
    return _fields("field", OutputSpec)


def _fields(head: str, cls: type, without: frozenset[str] = frozenset()) -> str:
    return table(head, "default", "what", rows=_rows(cls, without))


def _rows(cls: type, without: frozenset[str]) -> Iterator[tuple[str, ...]]:
    texts = docstrings(cls)
    for field in fields(cls):
        if field.name not in without:
            text = _CONSTANT.sub(lambda m: _VALUES[m[1]], one_line(texts[field.name]))
            yield f"`{field.name}`", _default(field), text.replace("; None", "; none")


def _default(field: Field[object]) -> str:
    if field.default_factory is not MISSING or field.default is None or field.default == "":
        return "none"
    if field.default is MISSING:
        return _REQUIRED
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f'`"{field.default}"`' if isinstance(field.default, str) else f"`{field.default}`"
