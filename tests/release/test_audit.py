"""What the services answer about vulnerabilities, and the exit code that follows."""

from __future__ import annotations

import json

import pytest

from release.audit import (
    Audit,
    Exit,
    Finding,
    lines,
    read_npm_audit,
    read_pip_audit,
    verdict,
)

FOUND = Finding("toy 1.0", ("PYSEC-1", "CVE-1"), "1.1")
ADVISORY = {
    "source": 1,
    "url": "https://github.com/advisories/GHSA-x",
    "range": "<1.1",
}


def test_a_finding_of_pip_audit_is_read() -> None:
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}
    rows = [
        {"name": "toy", "version": "1.0", "vulns": [vulnerability]},
        {"name": "other", "version": "2", "vulns": []},
    ]

    assert read_pip_audit("x", json.dumps({"dependencies": rows}), "") == Audit("x", [FOUND])


@pytest.mark.parametrize(
    ("stdout", "stderr", "failure"),
    [
        ("", "ERROR: first\nERROR:pip_audit: no route\n", "ERROR:pip_audit: no route"),
        ("", "", "no message"),
        (
            '{"dependencies": [{"name": "toy", "skip_reason": "s"}]}',
            "",
            "it does not know 1 of 1 packages, such as toy",
        ),
    ],
)
def test_a_failure_of_pip_audit_is_read(stdout: str, stderr: str, failure: str) -> None:
    assert read_pip_audit("x", stdout, stderr) == Audit("x", failure=failure)


def test_a_finding_of_npm_is_read_without_the_packages_that_need_it() -> None:
    rows = {
        "toy": {"via": [ADVISORY], "range": "<1.1", "fixAvailable": True},
        "user": {"via": ["toy"], "range": "*", "fixAvailable": False},
    }

    (found,) = read_npm_audit("x", json.dumps({"vulnerabilities": rows}), "").findings

    assert found == Finding("toy <1.1", ("GHSA-x",), "a newer version")


@pytest.mark.parametrize(
    ("stdout", "failure"),
    [
        ('{"error": {"code": "ENOAUDIT", "summary": "not implemented"}}', "not implemented"),
        ('{"message": "request failed"}', "request failed"),
        ("", "npm error"),
    ],
)
def test_a_failure_of_npm_is_read(stdout: str, failure: str) -> None:
    assert read_npm_audit("x", stdout, "npm error\n") == Audit("x", failure=failure)


@pytest.mark.parametrize(
    ("audits", "explained", "code"),
    [
        ([Audit("a")], "", Exit.CLEAN),
        ([Audit("a", [FOUND])], "", Exit.VULNERABLE),
        ([Audit("a", [FOUND])], "CVE-1 needs a file that nobody can send.", Exit.CLEAN),
        ([Audit("a"), Audit("b", failure="no route")], "", Exit.UNAVAILABLE),
        ([Audit("a", [FOUND]), Audit("b", failure="no route")], "", Exit.VULNERABLE),
    ],
)
def test_the_exit_code(audits: list[Audit], explained: str, code: Exit) -> None:
    assert verdict(audits, explained) is code


def test_a_service_that_does_not_answer_is_told_plainly() -> None:
    assert list(lines(Audit("a", failure="no route"), "")) == [
        "a: not checked, as the service did not answer: no route"
    ]
    assert list(lines(Audit("a", [FOUND]), "")) == [
        "a: toy 1.0: PYSEC-1, CVE-1, fixed in 1.1 (NEW)"
    ]
