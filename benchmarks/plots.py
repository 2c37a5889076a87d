"""Draw the results: throughput and latency over connections, and where the milliseconds go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import CURVES, Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGES = ("decode", "preprocess", "inference", "hop", "postprocess", "http")
_MEANING = {
    "hop": "hop to the model server",
    "http": "HTTP and JSON of the gateway",
    "preprocess": "resize and encode",
}


def draw(sections: Json, folder: Path) -> None:
    """Write a PNG for each measured section."""
    curves = [sections[key] for key in CURVES if key in sections]
    if curves:
        _over_connections(curves, folder)
    if "milliseconds" in sections:
        _where_time_goes(sections["milliseconds"]["models"], folder)


def _over_connections(models: list[Json], folder: Path) -> None:
    for kind, figures in (
        ("throughput", {"requests_per_s": "requests/s"}),
        ("latency", {"p50_ms": "median", "p99_ms": "p99"}),
    ):
        plt = pyplot()
        figure, axes = plt.subplots(1, len(models), figsize=(5 * len(models), 3.6), squeeze=False)
        for axis, model in zip(axes[0], models, strict=True):
            _curve(axis, model, figures)
        figure.tight_layout()
        figure.savefig(folder / f"{kind}.png", dpi=110)
        plt.close(figure)


def _curve(axis: Axes, model: Json, figures: dict[str, str]) -> None:
    steps = [step["connections"] for step in model["steps"]]
    for key, label in figures.items():
        axis.plot(steps, [step[key] for step in model["steps"]], marker="o", label=label)
    axis.set_xscale("log", base=2)
    axis.set_xticks(steps, [str(step) for step in steps])
    axis.set_ylim(bottom=0)
    axis.set_xlabel("connections")
    axis.set_ylabel("requests/s" if "requests_per_s" in figures else "ms")
    axis.set_title(f"{model['model']}, {model['engine']}")
    axis.grid(alpha=0.3)
    axis.legend()


def _where_time_goes(models: Json, folder: Path) -> None:
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.7 * len(models)))
    names, left = list(models), [0.0] * len(models)
    for stage in STAGES:
        widths = [max(0.0, models[name].get(stage, 0.0)) for name in names]
        axis.barh(names, widths, left=left, label=_MEANING.get(stage, stage))
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.set_xlabel("ms of one request, one connection")
    axis.legend(ncols=3, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, 1.45))
    figure.tight_layout()
    figure.savefig(folder / "milliseconds.png", dpi=110)
    plt.close(figure)


def pyplot() -> Any:  # noqa: ANN401 (a module)
    """Return matplotlib's functions for files, without a screen."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt
