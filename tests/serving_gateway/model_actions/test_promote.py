from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.models_file import load_models_file
from scripts.errors import ScriptError
from serving_gateway.instance import Instance
from serving_gateway.model_actions.promote import require_own_serving
from serving_gateway.models import main
from tests.flask_server.stub_serving import Servable
from tests.serving_gateway.model_actions.conftest import Project


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

    words = ["promote", "toy", "2", "--label", "stable", "--url", project.url, "--timeout", "60"]
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
