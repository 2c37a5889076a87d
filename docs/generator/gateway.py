"""The gateway's errors, settings and metrics.

An error's row comes from its class, a setting's row from its field, default and docstring.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.core import Metric

from docs.generator.markdown import ROOT, docstrings, one_line, table
from flask_server.errors import GatewayError, kinds
from flask_server.serving.models import Models
from flask_server.settings import PREFIX, RENAMED, Settings
from flask_server.telemetry.metrics import Metrics
from flask_server.web.problem_documents import HEADERS


def errors() -> str:
    """Return the table of the errors."""
    return table("code", "status", "when", rows=map(_error_row, kinds()))


def _error_row(kind: type[GatewayError]) -> tuple[str, ...]:
    header = f" + `{HEADERS[kind.status]}`" if kind.status in HEADERS else ""
    return f"`{kind.code}`", f"{kind.status:d}{header}", kind.when


def settings() -> str:
    """Return the table of the settings."""
    return table("variable", "default", "what", rows=_setting_rows())


def _setting_rows() -> Iterator[tuple[str, ...]]:
    texts, old_names = docstrings(Settings), {new: old for old, new in RENAMED.items()}
    for field in fields(Settings):
        variable, text = PREFIX + field.name.upper(), one_line(texts[field.name])
        if variable in old_names:
            text += f" The name `{old_names[variable]}` still works, with a warning."
        yield f"`{variable}`", _default(field.default), text


def _default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Path):
        value = value.relative_to(ROOT)
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{','.join(value) if isinstance(value, tuple) else format(value)}`"


def metrics() -> str:
    """Return the table of the metrics."""
    return table("metric", "type", "labels", "what", rows=_metric_rows())


def _metric_rows() -> Iterator[tuple[str, ...]]:
    # A gateway without models has the same families.
    models = cast(Models, SimpleNamespace(names=()))
    for family, labels in _families(models):
        total = "_total" if family.type == "counter" else ""
        yield f"`{family.name}{total}`", family.type, ", ".join(labels), family.documentation


def _families(models: Models) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Yield each family with the names of its labels, which only its collector tells."""
    metrics = Metrics(models, max_in_flight=0, shared=False)
    collectors: list[Any] = list(metrics.registry._collector_to_names)
    for collector in collectors:
        for family in collector.collect():
            yield family, collector._labelnames
    for states in metrics.states:
        for gauge in cast(list[Any], states.collect()):
            yield gauge, tuple(gauge._labelnames)
