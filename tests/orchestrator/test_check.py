from __future__ import annotations

from pathlib import Path

from orchestrator.check import Check, CheckResult
from tests.orchestrator.conftest import gone, spec_of
from tests.waiting import eventually


def said(folder: Path, script: str, timeout_s: float = 30) -> str | None:
    problem = Check(spec_of("", folder, check=["/bin/sh", "-c", script]), timeout_s).wait()
    return problem.text if problem else None


def test_a_child_without_a_check_passes_at_once(tmp_path: Path) -> None:
    assert Check(spec_of("", tmp_path)).poll() == CheckResult()


def test_a_check_that_ends_well_has_no_problem_whatever_it_prints(tmp_path: Path) -> None:
    assert said(tmp_path, "echo a warning") is None


def test_a_check_that_fails_gives_its_last_lines(tmp_path: Path) -> None:
    script = 'for i in 1 2 3 4 5 6; do echo "$i"; echo; done; echo the reason >&2; exit 1'

    assert said(tmp_path, script) == "3\n4\n5\n6\nthe reason"


def test_a_check_that_fails_in_silence_gives_its_code(tmp_path: Path) -> None:
    assert said(tmp_path, "exit 3") == "the check ended with code 3"


def test_a_check_runs_where_the_child_would_and_as_it_would(tmp_path: Path) -> None:
    check = ["/bin/sh", "-c", 'pwd; echo "$COLOUR"; exit 1']
    spec = spec_of("", tmp_path, check=check, env={"COLOUR": "red"})

    assert str(Check(spec).wait()) == f"{tmp_path}\nred"


def test_a_check_that_cannot_be_started_has_not_passed(tmp_path: Path) -> None:
    spec = spec_of("", tmp_path, check=["/no/such/program"])

    assert "/no/such/program" in str(Check(spec).wait())


def test_a_check_that_hangs_is_ended(tmp_path: Path) -> None:
    assert said(tmp_path, "sleep 60", 0.1) == "the check has not ended after 0.1 s"


def test_a_check_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    check = Check(spec_of("", tmp_path, check=["/bin/sh", "-c", "echo $$ >pid; exec sleep 3600"]))
    assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    check.end()  # else the test would last longer than it may

    assert gone(int((tmp_path / "pid").read_text()))
