"""OpenVINO reports nothing and writes nothing into the user's folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

IMPORT = re.compile(r"^( *)(?:import openvino\b|from openvino\b)", re.MULTILINE)
PROGRAMS = (
    "model_server",
    "scripts",
    "benchmarks",
    "flask_server",
    "orchestrator",
    "model_catalog",
)
IN_CI = {"CI", "TF_BUILD", "JENKINS_URL"}
LOAD = """
import sys
from pathlib import Path
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions

OpenVINOEngine(OpenVINOOptions(threads=1)).load(Path(sys.argv[1])).close()
assert "openvino" in sys.modules
print([name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""


def test_a_process_that_loads_a_model_leaves_no_files(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    # Variables of continuous integration would switch the reports off as well.
    kept = {name: value for name, value in os.environ.items() if name not in IN_CI}
    command = [sys.executable, "-c", LOAD, str(demo)]

    done = subprocess.run(
        command,
        cwd=ROOT,
        env=kept | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_import_of_openvino_comes_after_the_switch() -> None:
    files = [file for program in PROGRAMS for file in (ROOT / program).rglob("*.py")]
    importing = [file for file in files if IMPORT.search(file.read_text(encoding="utf-8"))]

    assert importing
    for file in importing:
        text = file.read_text(encoding="utf-8")
        for found in IMPORT.finditer(text):
            function = text[text.rindex("def ", 0, found.start()) : found.start()]
            assert "openvino_telemetry.switch_off()" in function, file
