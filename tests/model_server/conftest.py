"""SavedModels written by TensorFlow, once per run and in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT
from tests.running import SHARED
from tests.workers import written_once

MOBILENET = SHARED / "models" / "imagenet_mobilenet.keras"


def written(
    factory: pytest.TempPathFactory, name: str, module: str, *arguments: str | Path
) -> Path:
    """Let a module of ours write SavedModels into a folder."""

    def write(folder: Path) -> None:
        command = [sys.executable, "-m", f"tests.model_server.{module}", folder, *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert result.returncode == 0, result.stderr

    return written_once(factory, name, write)


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per model."""
    return written(tmp_path_factory, "saved_models", "saved_models")


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per export of our own.

    That of ``mobilenet`` is written by the same process, since importing Keras takes seconds.
    """
    given = [MOBILENET] if MOBILENET.is_file() else []
    return written(tmp_path_factory, "exports", "exports", *given)


@pytest.fixture(scope="session")
def mobilenet(exports: Path) -> Path:
    """Return the folder of a network that knows ImageNet."""
    if not MOBILENET.is_file():
        pytest.skip("there is no ../shared/models/imagenet_mobilenet.keras beside the project")
    return exports / "given"
