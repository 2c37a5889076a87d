"""Compare responses with recorded ones of TensorFlow Serving, if these lie beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT, SERVER
from tests.running import SHARED

SAMPLE = SHARED / "conformance"


def differing(output: str) -> set[str]:
    """Return the cases that differ; docs/model_server.md lists each as a deliberate difference."""
    assert " agree, " in output, output
    lines = [line for line in output.splitlines() if line.startswith("DIFFERS | ")]
    return {line.split(" | ")[1] for line in lines}


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

    assert differing(result.stdout) == {"list models"}, result.stdout


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no ../shared/conformance beside the project")
def test_the_grpc_answers_equal_the_recorded_ones(tmp_path: Path) -> None:
    cases = str(SAMPLE / "grpc_cases.json")
    make = [sys.executable, str(SAMPLE / "make_grpc_models.py"), str(tmp_path), cases]
    subprocess.run(make, check=True, capture_output=True, timeout=120)

    run = [sys.executable, str(SAMPLE / "run_grpc.py"), str(tmp_path), cases, "--", *SERVER]
    output = _output_of(run)
    if "failed to connect" in output:  # another process took the port that the runner had chosen
        output = _output_of(run)
    assert "failed to connect" not in output

    deliberate = {"tensor-rank-254", "tensor-dim-zero-overflow"}
    assert differing(output) == deliberate, output
    assert "545 agree, 2 differ" in output


def _output_of(run: list[str]) -> str:
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=140)
    return done.stdout
