from __future__ import annotations

import pytest

from tests.flask_server.stub_serving import Servable, StubServing
from tests.serving_gateway.model_actions.conftest import Project


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
