"""A real gateway in front of a stub Serving, and a models file with versions of one model."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving_gateway.models import main
from tests.flask_server.stub_serving import Servable, StubServing
from tests.scripts.gateway.running import running_gateway


class Project:
    """A models file with the versions of one model, and what is said of it."""

    def __init__(self, folder: Path, serving: StubServing, url: str) -> None:
        self.folder, self.serving, self.url = folder, serving, url

    def call(self, *words: str) -> int:
        files = ["--models-file", str(self.file), "--run-dir", str(self.folder / "run")]
        return main([*words, *files], "serving-gateway")

    def serves(self, version: int) -> bool:
        """Tell whether the gateway has a version of the stub as available."""
        with urllib.request.urlopen(f"{self.url}/models/toy", timeout=60) as response:
            states = {each["version"]: each["state"] for each in json.load(response)["versions"]}
        return states.get(version) == "AVAILABLE"

    def waiting(self, *words: str) -> int:
        return self.call(*words, "--url", self.url, "--timeout", "60")

    @property
    def file(self) -> Path:
        return self.folder / "models.toml"

    def serve(self, versions: tuple[int, ...], **labels: int) -> None:
        """Let the stub serve these versions, as auto_cmd and Serving would."""
        self.serving.labels = labels
        self.serving.models["toy"] = {version: Servable() for version in versions}

    def later(self, work: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(0.1, work)
        timer.start()
        return timer


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for version in "123":
        (tmp_path / "toy" / version).mkdir(parents=True)
    models = '[models.toy]\nbase_path = "toy"\nversions = [1]\nversion_labels = { stable = 1 }\n'
    with (
        StubServing().running() as serving,
        running_gateway(serving, tmp_path, models) as url,
    ):
        project = Project(tmp_path, serving, url)
        project.serve((1,), stable=1)
        yield project
