"""Compare responses with recorded ones of TensorFlow Serving, if these lie beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.model_server.harness import ROOT, SERVER
from tests.running import SHARED

SAMPLE = SHARED / "conformance"
#: Runs a program in which port 0 is a port of the tests: that of the system could be taken by
#: another process until a server of the program listens on it.
RUN = """
import runpy, socket, sys
from tests.running import free_port

class Socket(socket.socket):
    def bind(self, address):
        super().bind((address[0], address[1] or free_port()))

socket.socket = Socket
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


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

    output = output_of(SAMPLE / "run_rest.py", tmp_path, SAMPLE / "cases.json")

    assert differing(output) == {"list models"}, output


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no ../shared/conformance beside the project")
def test_the_grpc_answers_equal_the_recorded_ones(tmp_path: Path) -> None:
    cases = SAMPLE / "grpc_cases.json"
    make = [sys.executable, str(SAMPLE / "make_grpc_models.py"), str(tmp_path), str(cases)]
    subprocess.run(make, check=True, capture_output=True, timeout=120)

    output = output_of(SAMPLE / "run_grpc.py", tmp_path, cases)

    deliberate = {"tensor-rank-254", "tensor-dim-zero-overflow"}
    assert differing(output) == deliberate, output
    assert "545 agree, 2 differ" in output


def output_of(runner: Path, models: Path, cases: Path) -> str:
    """Return what a program prints that compares the answers of our server with recorded ones."""
    command = [sys.executable, "-c", RUN, str(runner), str(models), str(cases), "--", *SERVER]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=450)
    return done.stdout
