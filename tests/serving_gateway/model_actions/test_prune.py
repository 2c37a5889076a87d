from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from tests.serving_gateway.model_actions.conftest import Project


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
