"""SavedModels for the tests that need TensorFlow, written once per session in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per model."""
    folder = tmp_path_factory.mktemp("saved_models")
    command = [sys.executable, "-m", "tests.model_server.saved_models", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return folder
