from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from orchestrator.console import Console
from orchestrator.doctor import (
    Finding,
    Level,
    examine_check,
    examine_disk,
    examine_ports,
    examine_python,
    pinned,
    report,
)
from tests.orchestrator.conftest import spec_of
from tests.orchestrator.project_sandbox import executable
from tests.running import free_port

FIX = "install it"


def test_this_python_and_its_packages_are_well() -> None:
    findings = list(examine_python(sys.executable, [["pytest"]], {}, FIX))

    assert [finding.fix for finding in findings] == ["", ""]


def test_a_broken_folder_of_a_package_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    findings = list(examine_python(sys.executable, [["pytest"]], {}, FIX))

    assert [finding.fix for finding in findings] == ["", ""]


def test_a_missing_package_is_wrong() -> None:
    findings = list(examine_python(sys.executable, [["no-such-package", "nor-this"]], {}, FIX))

    assert findings[1] == Finding("no-such-package or nor-this is not installed", Level.WRONG, FIX)


def test_missing_packages_are_one_finding() -> None:
    needed = [["no-such-package"], ["pytest"], ["nor-this"]]

    findings = list(examine_python(sys.executable, needed, {}, FIX))

    assert findings[1] == Finding("no-such-package, nor-this are not installed", Level.WRONG, FIX)
    assert len(findings) == 3


def test_one_package_of_a_group_is_enough() -> None:
    findings = list(examine_python(sys.executable, [["no-such-package", "pytest"]], {}, FIX))

    assert findings[1].fix == ""


def test_an_untested_version_is_worth_knowing() -> None:
    findings = list(examine_python(sys.executable, [["pytest"]], {"pytest": "0.1"}, FIX))

    assert findings[1].level is Level.NOTE
    assert "tested with 0.1" in findings[1].text


def test_a_python_that_does_not_run_is_wrong() -> None:
    findings = list(examine_python("/no/such/python", [["pytest"]], {}, FIX))

    assert len(findings) == 1
    assert findings[0].level is Level.WRONG
    assert findings[0].fix == FIX


@pytest.mark.parametrize(
    ("version", "fine"),
    [([3, 10, 9], False), ([3, 11, 0], True), ([3, 13, 9], True), ([3, 14, 0], False)],
)
def test_which_pythons_are_fine(tmp_path: Path, version: list[int], fine: bool) -> None:
    executable(
        tmp_path / "python", f'#!/bin/sh\necho \'{{"python": {version}, "packages": {{}}}}\''
    )

    findings = list(examine_python(str(tmp_path / "python"), [], {}, FIX))

    assert (findings[0].level is Level.OK) == fine


def test_pinned_versions_are_read_from_the_constraints(tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        "# exact\nFlask==3.1.3\nnumpy==2.4.0; python_version > '3'\nprometheus_client==0.26.0\n"
    )

    assert pinned(constraints) == {
        "flask": "3.1.3",
        "numpy": "2.4.0",
        "prometheus-client": "0.26.0",
    }
    assert pinned(tmp_path / "absent") == {}


def test_a_taken_port_is_wrong_unless_the_instance_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = [("127.0.0.1", listener.getsockname()[1], "--port")]

        others = list(examine_ports(ports, []))
        own = list(examine_ports(ports, [os.getpid()]))

    assert "--port" in others[0].fix
    assert own[0].fix == ""


def test_a_free_port_is_well() -> None:
    assert next(examine_ports([("127.0.0.1", free_port(), "--port")], [])).fix == ""


def test_a_child_whose_check_fails_is_wrong(tmp_path: Path) -> None:
    fails = spec_of("", tmp_path, name="gateway", check=["/bin/sh", "-c", "echo a typo; exit 1"])
    passes = spec_of("", tmp_path, name="gateway", check=["/bin/sh", "-c", "exit 0"])

    assert examine_check(fails, FIX) == Finding("gateway would not start: a typo", Level.WRONG, FIX)
    assert examine_check(passes, FIX).fix == ""


def test_a_folder_that_is_yet_to_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    findings = list(examine_disk(tmp_path / "a" / "b"))

    assert len(findings) == 1
    assert str(tmp_path) in findings[0].text


def test_the_report_counts_what_is_wrong() -> None:
    stream = io.StringIO()
    findings = [
        Finding("fine"),
        Finding("odd", Level.NOTE, "look"),
        Finding("bad", Level.WRONG, "mend it"),
    ]

    code = report(findings, Console(stream))

    assert code == 1
    assert stream.getvalue().splitlines() == [
        "ok    fine",
        "note  odd",
        "      fix: look",
        "WRONG bad",
        "      fix: mend it",
        "1 of 3 checks found something wrong",
    ]


def test_a_report_without_wrong_findings_is_a_success() -> None:
    findings = [Finding("fine"), Finding("odd", Level.NOTE, "look")]

    assert report(findings, Console(io.StringIO())) == 0
