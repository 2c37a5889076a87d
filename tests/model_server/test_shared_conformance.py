"""Compare responses with recorded ones of TensorFlow Serving, if these lie beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT, SERVER
from tests.running import SHARED

SAMPLE = SHARED / "conformance"


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no ../shared/conformance beside the project")
def test_the_responses_equal_the_recorded_ones(tmp_path: Path) -> None:
    make = [sys.executable, str(SAMPLE / "make_models.py"), str(tmp_path)]
    subprocess.run(make, check=True, capture_output=True, timeout=120)

    run = [sys.executable, str(SAMPLE / "run_rest.py"), str(tmp_path), str(SAMPLE / "cases.json")]
    result = subprocess.run(
        [*run, "--", *SERVER], cwd=ROOT, capture_output=True, text=True, timeout=240
    )

    assert result.stdout.endswith(" 0 differ (100.0%)\n"), result.stdout
