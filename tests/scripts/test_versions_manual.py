"""The commands about versions and many files in docs/models.md work as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scripts import classify
from serving_gateway import models
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.running import ROOT
from tests.scripts.gateway.running import running_gateway
from tests.scripts.manual import manual_commands
from tests.scripts.versions.request_logs import WrittenLog

MANUAL = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
MODELS = '[models.digits]\nbase_path = "digits"\nversion_labels = { stable = 1 }\n'


@pytest.fixture
def serving() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        stub.models = {"digits": {1: Servable(), 2: Servable()}}
        stub.labels = {"stable": 1, "canary": 2}
        yield stub


@pytest.fixture
def url(serving: StubServing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a gateway with the models file of the folder, which is the current one."""
    for folder in ("digits/1", "digits/2", "photos", "test_images"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("photos", "test_images"):
        (tmp_path / folder / "white.png").write_bytes(flat("white"))
    monkeypatch.chdir(tmp_path)
    with running_gateway(serving, tmp_path, MODELS) as url:
        yield url


def test_the_commands_about_versions_work(url: str, serving: StubServing, tmp_path: Path) -> None:
    log = WrittenLog(tmp_path, "digits")
    log.add({"x": np.zeros((1, 4, 4, 3), np.float32)}, model="digits")
    log.close()
    place = ["--models-file", "models.toml", "--run-dir", "run"]

    for words in manual_commands(script="models.py"):
        gateway = [] if words[0] == "list" else ["--url", url]
        if words[0] == "promote":
            serving.labels[words[-1]] = int(words[2])
        assert models.run([*words, *place, *gateway], "models.py") == 0

    assert "canary = 2" in (tmp_path / "models.toml").read_text(encoding="utf-8")
    assert (tmp_path / "compare-digits-stable-canary.html").is_file()


def test_the_command_about_many_files_works(url: str, tmp_path: Path) -> None:
    (words,) = manual_commands(script="classify.py")

    assert classify.main([*words, "--url", url]) == 0
    assert (tmp_path / "results.csv").is_file()
    assert (tmp_path / "sheet.html").is_file()


def test_the_manual_names_every_action_and_option() -> None:
    section = MANUAL[MANUAL.index("## Versions as a workflow") :]

    assert [name for name in models.ACTIONS if f"| `{name}" not in section] == []
    options = re.findall(r"(--[a-z-]+)", classify.parser().format_help())
    assert [option for option in set(options) - {"--help"} if option not in section] == []
