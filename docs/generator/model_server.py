"""The flags and metrics of the embedded model server."""

from __future__ import annotations

from collections.abc import Iterator

from docs.generator.markdown import one_line, table
from model_server.cpus import CPUS
from model_server.flag_table import FLAGS
from model_server.flags import Flag
from model_server.metrics import METRICS, PREFIX

_EXTENSION = " (Extension.)"
#: The flags whose default depends on the machine.
_PER_CPU = {flag.name for flag in FLAGS if flag.name.endswith("_threads") and flag.default}


def flags() -> str:
    """Return the table of the flags, those without effect last."""
    rows = map(_flag_row, sorted(FLAGS, key=lambda flag: flag.ignored))
    return table("flag", "type", "default", "TensorFlow Serving", "what", rows=rows)


def _flag_row(flag: Flag) -> tuple[str, ...]:
    kind = "ignored" if flag.ignored else "ours" if flag.help.endswith(_EXTENSION) else "same"
    text = one_line(flag.help.removesuffix(_EXTENSION))
    return f"`{flag.name}`", flag.type_name, _default(flag), kind, text


def _default(flag: Flag) -> str:
    if flag.name in _PER_CPU:
        return f"{int(flag.default) // CPUS} × CPUs"
    if isinstance(flag.default, bool):
        return f"`{str(flag.default).lower()}`"
    if isinstance(flag.default, float):
        return f"`{flag.default:g}`"
    return f"`{flag.default}`" if flag.default != "" else "empty"


def metrics() -> str:
    """Return the table of the metrics."""
    return table("metric", "type", "labels", "what", rows=_metric_rows())


def _metric_rows() -> Iterator[tuple[str, ...]]:
    for name, metric in sorted(METRICS.items()):
        yield f"`{PREFIX}{name}`", metric.type_name, ", ".join(metric.labels), metric.help
