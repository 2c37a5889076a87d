"""Examine everything that a start needs, for ``doctor``: packages, ports, settings and models."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.extras import required_packages
from model_catalog.fault import Fault
from model_catalog.installation import install_command, is_checkout
from model_catalog.models_file import load_models_file
from orchestrator.child_specs import gateway_child
from orchestrator.doctor import (
    Finding,
    Level,
    examine_check,
    examine_disk,
    examine_ports,
    examine_python,
    pinned,
)
from orchestrator.models.entries import explained, served_entries
from orchestrator.models.faults import model_faults
from orchestrator.models.model_health import unusable_models
from orchestrator.resolved_options import ResolvedOptions

CORRECT_IT = "correct the setting or file that the message names"


def examine(options: ResolvedOptions) -> list[Finding]:
    """Return the findings of ``doctor``."""
    findings = list(_examine_python(options))
    is_installed = all(finding.level is not Level.WRONG for finding in findings)
    findings += examine_disk(options.run_dir.path)
    findings += examine_ports(options.ports, options.run_dir.own_pids())
    try:
        models = load_models_file(options.models_file)
    except CatalogError as error:
        told = explained(error, options.models_file, options.root)
        return [*findings, Finding(told, Level.WRONG, CORRECT_IT)]
    if is_installed:  # otherwise the check repeats that a package is missing
        findings.append(examine_check(gateway_child(options, lambda: None), CORRECT_IT))
    for entry in served_entries(options.kind, models):
        found = [_finding(fault) for fault in model_faults(options.kind, entry)]
        findings += found or [Finding(f"model {entry.name}: {entry.base_path}")]
    for name, reason in unusable_models(options.run_dir.running() or {}).items():
        text = f"model {name} is not ready: {reason}"
        findings.append(Finding(text, Level.WRONG, _correct_model(options.root)))
    return findings


def _correct_model(root: Path) -> str:
    """Return what to do about a model; an installed package has no docs/."""
    manual = "docs/models_file.md says what a model needs"
    first = manual if is_checkout(root) else "correct its table in the models file"
    return f"{first}; a changed models file is used at once"


def _examine_python(options: ResolvedOptions) -> Iterator[Finding]:
    extras = ["gateway", *(["openvino"] if options.kind == "embedded" else [])]
    packages = required_packages(*extras, code=options.root)
    pins = pinned(options.root / "constraints.txt")
    return examine_python(options.python, packages, pins, _install_command(options.root))


def _install_command(root: Path) -> str:
    """Return the shell command that installs what is missing."""
    return f"cd {shlex.quote(str(root))} && make run" if is_checkout(root) else install_command()


def _finding(fault: Fault) -> Finding:
    return Finding(fault.text, Level.WRONG if fault.is_error else Level.NOTE, fault.fix)
