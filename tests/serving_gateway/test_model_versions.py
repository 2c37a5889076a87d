"""The actions on versions, with a real gateway in front of a stub Serving."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model_catalog.models_file import load_models_file
from orchestrator.errors import UsageError
from scripts.errors import ScriptError
from serving_gateway.instance import Instance
from serving_gateway.model_versions import require_own_serving
from serving_gateway.models import main
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.scripts.gateway.running import running_gateway
from tests.scripts.versions.request_logs import WrittenLog, pixels, strings


class Project:
    """A models file with the versions of one model, and what is said of it."""

    def __init__(self, folder: Path, serving: StubServing, url: str) -> None:
        self.folder, self.serving, self.url = folder, serving, url

    def call(self, *words: str) -> int:
        files = ["--models-file", str(self.file), "--run-dir", str(self.folder / "run")]
        return main([*words, *files], "serving-gateway")

    def waiting(self, *words: str) -> int:
        return self.call(*words, "--url", self.url, "--timeout", "10")

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


def labels(project: Project) -> object:
    return dict(load_models_file(project.file).entries[0].version_labels)


def test_promote_and_rollback_wait_until_the_gateway_has_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    timer = project.later(lambda: project.serve((1, 2), stable=2))
    assert project.waiting("promote", "toy", "2", "--label", "stable") == 0
    timer.join()

    told = capsys.readouterr().out
    assert "toy: label stable: version 1 -> 2" in told
    assert "the gateway has it, after" in told
    assert labels(project) == {"stable": 2}

    timer = project.later(lambda: project.serve((1, 2), stable=1))
    assert project.waiting("rollback", "toy", "--label", "stable") == 0
    timer.join()
    assert "toy: label stable: version 2 -> 1" in capsys.readouterr().out
    assert labels(project) == {"stable": 1}


def test_a_version_that_does_not_come_is_a_failure_with_the_way_back(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["promote", "toy", "2", "--label", "stable", "--url", project.url]

    assert project.call(*words, "--timeout", "0.1") == 1

    told = capsys.readouterr().err
    assert (
        "After 0.1 s, the gateway has version 1; label stable of model toy to be version 2" in told
    )
    assert "models rollback toy --label stable takes it back." in told


def test_a_version_that_cannot_be_loaded_ends_the_wait(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.serve((1, 2), stable=1)
    project.serving.models["toy"][2] = Servable(spec=None)

    assert project.waiting("promote", "toy", "2", "--label", "stable") == 1

    assert "version 2 cannot be used: " in capsys.readouterr().err


def test_a_file_that_is_not_used_ends_the_wait(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    other = project.folder / "other.toml"
    other.write_text(project.file.read_text())
    project.file.write_text("[models")

    words = ["promote", "toy", "2", "--label", "stable", "--url", project.url, "--timeout", "10"]
    assert main([*words, "--models-file", str(other)], "serving-gateway") == 1

    assert "models.toml: not TOML" in capsys.readouterr().err


def test_where_nothing_runs_the_file_is_changed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.call("promote", "toy", "3", "--label", "stable", "--no-wait") == 0
    assert "nothing" not in capsys.readouterr().out
    assert project.call("promote", "toy", "latest") == 0
    assert "nothing is running; the next start uses it" in capsys.readouterr().out
    assert load_models_file(project.file).entries[0].versions == "latest"
    assert project.call("promote", "toy", "9") == 1
    assert "has no version 9; there are 1, 2, 3" in capsys.readouterr().err


def test_a_rollback_to_a_named_version_keeps_the_way_back(project: Project) -> None:
    def stable_after(*words: str) -> object:
        assert project.call(*words, "--label", "stable", "--no-wait") == 0
        return labels(project)

    assert stable_after("promote", "toy", "2") == {"stable": 2}
    assert stable_after("rollback", "toy", "--to", "3") == {"stable": 3}  # it was never noted
    assert stable_after("rollback", "toy") == {"stable": 1}


def test_a_rollback_past_the_notes_leads_on_to_lower_versions(project: Project) -> None:
    file = project.folder / "models.history.json"
    file.write_text('{"toy": {"stable": [3]}}')
    text = project.file.read_text()
    project.file.write_text(text.replace("[1]", "[1, 2, 3]").replace("stable = 1", "stable = 3"))

    found = []
    for _ in range(2):
        assert project.call("rollback", "toy", "--label", "stable", "--no-wait") == 0
        found.append(labels(project))

    assert found == [{"stable": 2}, {"stable": 1}]


def test_a_serving_with_a_configuration_of_its_own_is_left_alone(tmp_path: Path) -> None:
    elsewhere = {"serving": {"kind": "none", "url": "http://h:1"}}

    with pytest.raises(ScriptError, match="http://h:1 was started elsewhere"):
        require_own_serving(Instance(tmp_path, elsewhere))
    require_own_serving(Instance(tmp_path, {"serving": {"kind": "embedded"}}))
    require_own_serving(Instance(tmp_path, None))


def test_add_writes_the_lines_and_waits(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.folder / "new").mkdir()
    timer = project.later(lambda: project.serving.models.update(new={1: Servable()}))

    assert project.waiting("add", "new", str(project.folder / "new"), "--label", "s=1") == 0
    timer.join()
    told = capsys.readouterr().out
    assert '[models.new]\nbase_path = "new"\nversion_labels = {s = 1}' in told
    assert "warning: " in told  # the folder has no version, so nothing is waited for

    assert project.waiting("add", "new", str(project.folder / "new")) == 1
    assert "has a model new already" in capsys.readouterr().err
    assert project.waiting("add", "x", "/no/such/folder") == 1
    assert "/no/such/folder is not a folder" in capsys.readouterr().err


def test_add_waits_for_a_model_of_another_serving(project: Project) -> None:
    with StubServing().running() as other:
        other.models = {"far": {1: Servable()}}

        assert project.waiting("add", "far", "m", "--serving-url", other.url) == 0


def test_compare_writes_a_report_with_the_pictures_that_changed(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.serve((1, 2), stable=1)
    project.serving.models["toy"][2] = Servable(score=lambda pixels: [0.5, 0.25, 0.25])
    images = tmp_path / "images"
    images.mkdir()
    for name in ("white", "black"):
        (images / f"{name}.png").write_bytes(flat(name))
    (images / "cut.png").write_bytes(flat("white")[:40])
    out = tmp_path / "report.html"
    words = ["compare", "toy", "stable", "2", "--images", str(images), "--out", str(out)]

    while project.call(*words, "--url", project.url, "--json") != 0:  # until it is available
        capsys.readouterr()
    figures = json.loads(capsys.readouterr().out)

    assert (figures["pictures"], figures["errors"], figures["changed"]) == (3, 1, 1)
    assert figures["top1_agreement"] == 0.5
    assert figures["mean_score_shift"] == pytest.approx((0.75 + 0.5) / 2)
    assert len(figures["median_ms"]) == 2
    text = out.read_text()
    assert "white.png" in text
    assert text.count("data:image/jpeg") == 2  # the changed one, and the one with a shift
    assert "<td>light</td><td>dark</td>" in text
    assert "cut.png" in text
    assert project.call(*words, "--url", project.url, "--min-agreement", "0.9") == 1
    assert "same best class: 50.00% (1 changed)" in capsys.readouterr().out


def test_compare_asks_about_logged_requests(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.serve((1, 2), stable=1)
    project.serving.models["toy"][2] = Servable(score=lambda pixels: [0.5, 0.25, 0.25])
    log = WrittenLog(tmp_path)
    log.add({"pixels": pixels(0, 255)}, "pixels")
    log.add({"x": np.full((1, 4, 4, 3), 255, np.float32)})
    log.add({"pixels": strings(b"123")}, "pixels")
    log.close()
    (tmp_path / "black.png").write_bytes(flat("black"))
    out = tmp_path / "report.html"
    words = ["compare", "toy", "stable", "2", "--requests", log.prefix, "--out", str(out)]

    while project.call(*words, "--url", project.url, "--json") != 0:  # until it is available
        capsys.readouterr()
    figures = json.loads(capsys.readouterr().out)

    assert (figures["pictures"], figures["errors"], figures["changed"]) == (4, 1, 2)
    text = out.read_text()
    assert "request 1, row 2" in text
    assert "has 3 bytes of pixels" in text
    assert text.count("data:image/jpeg") == 2  # numbers have no preview
    more = ["--images", str(tmp_path / "black.png"), "--url", project.url, "--json"]
    assert project.call(*words, *more) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 5
    with pytest.raises(UsageError, match="--images FOLDER or --requests FILE_OR_PREFIX"):
        project.call("compare", "toy", "1", "2", "--url", project.url)


def test_compare_names_the_versions_that_are_available(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "toy", "1", "7", "--images", str(tmp_path)]

    assert project.call(*words, "--url", project.url) == 1
    assert "no version 7 that is available; there are 1" in capsys.readouterr().err
    assert project.call(*words) == 1
    assert "Nothing is running" in capsys.readouterr().err


def test_prune_removes_what_nothing_refers_to_after_a_question(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.folder / "toy" / "4").mkdir()

    with pytest.raises(UsageError, match="add --yes"):
        project.call("prune", "toy")
    assert project.call("prune", "toy", "--yes") == 0

    told = capsys.readouterr().out
    assert "keeps 1: label stable of model toy names it" in told
    assert "keeps 4: it is the newest one" in told
    assert sorted(path.name for path in (project.folder / "toy").iterdir()) == ["1", "3", "4"]
    assert project.call("prune", "toy", "--yes", "--keep", "0") == 0
    assert sorted(path.name for path in (project.folder / "toy").iterdir()) == ["1", "4"]
    assert project.call("prune", "toy") == 0
    assert "nothing to remove" in capsys.readouterr().out
