"""SavedModels written by TensorFlow, once per session and in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT
from tests.running import SHARED

MOBILENET = SHARED / "models" / "imagenet_mobilenet.keras"


def written(module: str, folder: Path, *arguments: str) -> Path:
    """Let a module of ours write SavedModels into a folder."""
    command = [sys.executable, "-m", f"tests.model_server.{module}", str(folder), *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per model."""
    return written("saved_models", tmp_path_factory.mktemp("saved_models"))


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per export of our own."""
    return written("exports", tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a network that knows ImageNet."""
    if not MOBILENET.is_file():
        pytest.skip("there is no ../shared/models/imagenet_mobilenet.keras beside the project")
    return written("exports", tmp_path_factory.mktemp("mobilenet"), str(MOBILENET)) / "given"
