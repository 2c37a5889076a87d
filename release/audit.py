"""``make audit``: look for known vulnerabilities in the packages of pip and of npm.

A vulnerability counts as explained when docs/security.md names it. Exit codes: 0 for none or only
explained ones, 1 for others, 69 (as in sysexits.h) when a service did not answer. ``make`` itself
exits with 2 for both of these.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from release.commands import ROOT, run

EXPLANATIONS: Final = ROOT / "docs" / "security.md"
_LOCK: Final = "package-lock.json"
#: Number of characters of a message that are told.
_LONGEST: Final = 200


class Exit(IntEnum):
    """The exit codes."""

    CLEAN = 0
    VULNERABLE = 1
    UNAVAILABLE = 69


@dataclass(frozen=True, slots=True)
class Finding:
    """A known vulnerability of one version of a package."""

    package: str
    ids: tuple[str, ...]
    """Its names, such as GHSA-… and CVE-…."""

    fixed_in: str

    def __str__(self) -> str:
        fix = f"fixed in {self.fixed_in}" if self.fixed_in else "no version without it"
        return f"{self.package}: {', '.join(self.ids)}, {fix}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What a service said of a list of packages."""

    subject: str
    findings: Sequence[Finding] = ()
    failure: str = ""
    """Why the service said nothing; empty when it answered."""


def main() -> int:
    """Print what the services say; return the exit code."""
    explained = EXPLANATIONS.read_text(encoding="utf-8")
    audits = [python_audit(), *npm_audits()]
    for audit in audits:
        for line in lines(audit, explained):
            sys.stdout.write(f"{line}\n")
    return verdict(audits, explained)


def lines(audit: Audit, explained: str) -> Iterator[str]:
    """Yield what there is to say of an audit."""
    if audit.failure:
        yield f"{audit.subject}: not checked, as the service did not answer: {audit.failure}"
    elif not audit.findings:
        yield f"{audit.subject}: no known vulnerabilities"
    for finding in audit.findings:
        mark = "explained in docs/security.md" if is_explained(finding, explained) else "NEW"
        yield f"{audit.subject}: {finding} ({mark})"


def is_explained(finding: Finding, explained: str) -> bool:
    """Tell whether the text names the finding."""
    return any(re.search(rf"{re.escape(name)}(?![\w-])", explained) for name in finding.ids)


def verdict(audits: Sequence[Audit], explained: str) -> Exit:
    """Return the exit code; a finding weighs more than a service that did not answer."""
    if any(not is_explained(found, explained) for audit in audits for found in audit.findings):
        return Exit.VULNERABLE
    return Exit.UNAVAILABLE if any(audit.failure for audit in audits) else Exit.CLEAN


def python_audit() -> Audit:
    """Ask for the versions of constraints.txt: the package index, or else OSV."""
    subject, failures = "constraints.txt", []
    for service in ("pypi", "osv"):
        words = ["-r", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json"]
        options = ["--progress-spinner", "off", "--vulnerability-service", service]
        done = run([sys.executable, "-m", "pip_audit", *words, *options])
        audit = read_pip_audit(subject, done.stdout, done.stderr)
        if not audit.failure:
            return audit
        failures.append(f"{service}: {audit.failure}")
    return Audit(subject, failure="; ".join(failures))


def read_pip_audit(subject: str, stdout: str, stderr: str) -> Audit:
    """Return what pip-audit wrote; its exit code is 1 for findings and for failures."""
    try:
        dependencies = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        return Audit(subject, failure=_last_line(stderr))
    skipped = [row["name"] for row in dependencies if "skip_reason" in row]
    if skipped:
        told = (
            f"it does not know {len(skipped)} of {len(dependencies)} packages, such as {skipped[0]}"
        )
        return Audit(subject, failure=told)
    findings = [
        Finding(
            f"{row['name']} {row['version']}",
            (found["id"], *found["aliases"]),
            ", ".join(found["fix_versions"]),
        )
        for row in dependencies
        for found in row["vulns"]
    ]
    return Audit(subject, findings)


def npm_audits() -> Iterator[Audit]:
    """Ask the npm registry for the versions of each lock file."""
    tracked = run(["git", "ls-files", f"*{_LOCK}"]).stdout.split()
    for path in tracked:
        try:
            done = run(["npm", "audit", "--json", "--package-lock-only"], (ROOT / path).parent)
        except OSError as error:
            yield Audit(path, failure=f"npm cannot be run: {error.strerror}")
        else:
            yield read_npm_audit(path, done.stdout, done.stderr)


def read_npm_audit(subject: str, stdout: str, stderr: str) -> Audit:
    """Return what npm audit wrote."""
    try:
        vulnerable = json.loads(stdout)["vulnerabilities"]
    except (ValueError, KeyError):
        return Audit(subject, failure=_npm_failure(stdout) or _last_line(stderr))
    return Audit(subject, [_of_npm(name, row) for name, row in vulnerable.items() if _own(row)])


def _own(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the advisories of the package itself; texts name packages that it needs."""
    return [via for via in row["via"] if isinstance(via, dict)]


def _of_npm(name: str, row: dict[str, Any]) -> Finding:
    ids = tuple(str(via["url"]).rpartition("/")[2] for via in _own(row))
    fix = row.get("fixAvailable")
    fixed_in = f"{fix['name']} {fix['version']}" if isinstance(fix, dict) else ""
    return Finding(f"{name} {row['range']}", ids, fixed_in or ("a newer version" if fix else ""))


def _npm_failure(stdout: str) -> str:
    """Return the message of npm's document of an error."""
    try:
        document = json.loads(stdout)
    except ValueError:
        return ""
    error = document.get("error")
    text = error.get("summary") if isinstance(error, dict) else None
    return str(text or document.get("message") or "")


def _last_line(text: str) -> str:
    found = text.strip().splitlines()
    return found[-1][:_LONGEST] if found else "no message"


if __name__ == "__main__":
    sys.exit(main())
