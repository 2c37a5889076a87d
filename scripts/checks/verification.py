"""Verify a version before it is published: in a fresh process, against its source model."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.checks import verify_program
from scripts.errors import ScriptError
from scripts.loading import graph

if TYPE_CHECKING:
    import keras

_MINUTES = 10


def require_same_scores(folder: Path, model: keras.Model) -> list[str]:
    """Raise ScriptError unless the SavedModel in the folder does what the model does.

    Returns one sentence for each thing that is worth a warning.
    """
    report = fresh_report(folder, weight_bytes(model))
    if report["problems"]:
        raise ScriptError(
            f"The export of {model.name} is not published, because it is not the same as the model "
            f"file. {' '.join(report['problems'])}"
        )
    drift = report["openvino"]
    if drift is None:
        return []
    return [
        f"OpenVINO computes other scores for this model (they differ by up to {drift:.2g}), so the "
        "embedded model server will use TensorFlow for it"
    ]


def weight_bytes(model: keras.Model) -> int:
    """Return the bytes of all weights of the model; a weight that layers share counts once."""
    weights = {id(weight): weight for weight in graph.variables(model)}.values()
    return sum(math.prod(weight.shape) * weight.dtype.size for weight in weights)


def fresh_report(folder: Path, weights: int) -> dict[str, Any]:
    """Return the report of ``verify_program``, from a process of its own."""
    command = [sys.executable, verify_program.__file__, str(folder), str(weights)]
    try:
        result = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=_MINUTES * 60, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ScriptError(
            f"The export was not verified within {_MINUTES} minutes; it is not published."
        ) from error
    lines = result.stdout.strip().splitlines()
    if result.returncode != 0 or not lines:
        last = next(reversed(result.stderr.strip().splitlines()), "no message")
        raise ScriptError(
            "The export is not published: the process that verifies it ended with code "
            f"{result.returncode} ({last[:200]})."
        )
    report: dict[str, Any] = json.loads(lines[-1])
    return report
