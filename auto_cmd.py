"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

The package ``orchestrator`` runs processes, and ``orchestrator.models`` tells them of models. This
module adds what a start says of them, requests to try, and what ``doctor`` examines.
"""

from __future__ import annotations

import sys

if sys.platform == "win32" or sys.version_info < (3, 11):
    from orchestrator.interpreter import hand_over

    hand_over(sys.argv)

import argparse
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.extras import required_packages
from model_catalog.folders import Fault, faults, version_folders
from model_catalog.installation import install_command, is_checkout, supervisor_command
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import load_models_file
from model_catalog.places import find_places
from model_catalog.version import VERSION
from model_catalog.version_checks import (
    faults_of_genuine_server,
    random_faults,
    scaling_faults,
)
from orchestrator.child_specs import gateway_child, serving_child
from orchestrator.command_line import Program, run
from orchestrator.doctor import (
    Finding,
    Level,
    examine_check,
    examine_disk,
    examine_ports,
    examine_python,
    pinned,
)
from orchestrator.instance import Plan
from orchestrator.models.entries import (
    configured_versions,
    explained,
    load_models,
    served_entries,
)
from orchestrator.models.model_health import unusable_models
from orchestrator.models.served_models import ServedModels
from orchestrator.resolved_options import KEYS_FILE, SERVING_URL, ResolvedOptions, resolve
from orchestrator.restart_policy import RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import GENUINE
from orchestrator.start_options import add_start_options

ROOT = Path(__file__).resolve().parent
#: Whether this is a checkout of the project; otherwise pip installed it.
IS_CHECKOUT = is_checkout(ROOT)
COMMAND = supervisor_command(ROOT)
INSTALL = f"cd {shlex.quote(str(ROOT))} && make run" if IS_CHECKOUT else install_command()
DIGITS = "digits"
IMAGES = ("digit_3.png", "cat.jpg")
MEND_IT = "docs/models_file.md says what a model needs; a changed models file is used at once"
CORRECT_IT = "correct the setting or file that the message names"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 on failure, 2 on wrong usage, 3 if nothing runs."""
    return run(program(), sys.argv[1:] if argv is None else argv)


def program(name: str = "auto_cmd.py") -> Program:
    """Return what the command line needs to know about this project."""
    return Program(
        script=ROOT / "auto_cmd.py",
        name=name,
        version=VERSION,
        summary=(__doc__ or "").split("\n")[0],
        run_dir=find_places(ROOT).run,
        children=("serving", "gateway"),
        add_start_options=add_start_options,
        plan=plan,
        examine=examine,
        unusable_models=unusable_models,
    )


def plan(arguments: argparse.Namespace, run_dir: RunDir) -> Plan:
    """Return what ``start`` starts: Serving and the gateway, or the gateway alone."""
    options = resolved(arguments, run_dir)
    served = ServedModels(options, load_models(options))
    command = served.command()
    specs = [gateway_child(options, served.gateway_problem, served.take_up)]
    if command.argv:
        specs.insert(0, serving_child(options, command, served, served.serving_problem))
    # The key "said" is read by programs that call ``status --json``.
    served.facts["serving"] = {
        "kind": options.kind,
        "said": command.description,
        "url": options.serving_url,
    }
    return Plan(
        specs=specs,
        ports=options.ports,
        notes=[f"serving: {command.description}", *command.warnings, *_notes(options, served)],
        ready_lines=partial(_ready_lines, options, served, command.description),
        facts=served.facts,
        housekeep=served.housekeep,
        policy=RestartPolicy(start_timeout_s=arguments.start_timeout),
    )


def resolved(arguments: argparse.Namespace, run_dir: RunDir) -> ResolvedOptions:
    """Combine options, environment and defaults; raise UsageError where they contradict.

    While an instance runs, its models file is the default.
    """
    running = run_dir.running() or {}
    default = Path(running.get("models_file", find_places(ROOT).models_file))
    return resolve(arguments, run_dir, ROOT, default)


def _notes(options: ResolvedOptions, served: ServedModels) -> Iterator[str]:
    """Return the lines about processes, environment and models that a start prints first."""
    workers = options.env["GATEWAY_WORKERS"]
    yield f"threads: {options.threads} for Serving, {workers} gateway process(es)"
    url = options.env[SERVING_URL]
    if url != options.serving_url:
        yield f"note: {SERVING_URL}={url} is set, so the gateway sends its calls there"
    for entry in served.entries:
        yield from _version_notes(entry)
        for fault in _faults_of_versions(options, entry):
            yield f"note: model {entry.name}: {fault.text} (fix: {fault.fix})"


def _version_notes(entry: ModelEntry) -> Iterator[str]:
    """Return what a start says of versions that are configured and not there."""
    there, served = set(version_folders(entry.base_path)), configured_versions(entry)
    listed = set() if isinstance(entry.versions, str) else set(entry.versions)
    absent = ", ".join(map(str, sorted(listed - there)))
    detail = f"version {absent} of its list in the models file is not in {entry.base_path}"
    if not served:
        reason = f": {detail}" if absent else ""
        yield f"note: model {entry.name} has no version yet{reason}; the start does not wait for it"
    elif absent:
        yield f"note: model {entry.name}: {detail}"
    for label, number in entry.version_labels.items():
        if number not in served:
            yield f"note: model {entry.name}: label {label} means version {number}, which is absent"


def _ready_lines(options: ResolvedOptions, served: ServedModels, description: str) -> Iterator[str]:
    """Return the lines that a start prints once all is ready: address and commands to try."""
    served.readiness.is_announced = True
    for name, reason in served.readiness.broken.items():
        yield f"warning: model {name} cannot be loaded: {reason} (try: {COMMAND} doctor)"
    for name, reason in served.readiness.unusable.items():
        yield f"warning: model {name} cannot be used: {reason} (try: {COMMAND} doctor)"
    url = options.gateway_url
    has_keys = bool(options.env.get(KEYS_FILE))
    header = "-H 'X-API-Key: KEY' " if has_keys else ""
    yield f"ready: {url} (serving: {description}); try next:"
    if IS_CHECKOUT:
        yield from _sample_requests(options, served.names, has_keys=has_keys)
    else:
        yield f"  curl {header}-F image=@PICTURE.jpg {url}/models/{served.names[0]}/predict"
    yield f"  curl {header}{url}/models"


def _sample_requests(
    options: ResolvedOptions, names: Sequence[str], *, has_keys: bool
) -> Iterator[str]:
    """Return commands that send the pictures of the checkout."""
    here = Path() if Path.cwd() == ROOT else ROOT
    python = Path(options.python)
    words = [
        here / python.relative_to(ROOT) if python.is_relative_to(ROOT) else python,
        here / "flask_server/flask_sample_request.py",
    ]
    sample = shlex.join(map(str, words))
    digit, cat = (shlex.quote(str(here / "test_images" / name)) for name in IMAGES)
    url = options.gateway_url
    extra = "" if url == "http://127.0.0.1:5000" else f" --url {url}"
    extra += " --api-key KEY" if has_keys else ""
    if DIGITS in names:
        yield f"  {sample} -i {digit} --model {DIGITS}{extra}"
    yield f"  {sample} -i {cat}{extra}"


def examine(arguments: argparse.Namespace, run_dir: RunDir) -> list[Finding]:
    """Return the findings of ``doctor``."""
    options = resolved(arguments, run_dir)
    extras = ["gateway", *(["openvino"] if options.kind == "embedded" else [])]
    packages = required_packages(*extras, code=ROOT)
    findings = list(examine_python(options.python, packages, _pins(), INSTALL))
    is_installed = all(finding.level is not Level.WRONG for finding in findings)
    findings += examine_disk(run_dir.path)
    findings += examine_ports(options.ports, run_dir.own_pids())
    try:
        models = load_models_file(options.models_file)
    except CatalogError as error:
        told = explained(error, options.models_file, ROOT)
        return [*findings, Finding(told, Level.WRONG, CORRECT_IT)]
    if is_installed:  # otherwise the check repeats that a package is missing
        findings.append(examine_check(gateway_child(options, lambda: None), CORRECT_IT))
    for entry in served_entries(options.kind, models):
        found = [_finding(fault) for fault in _faults(options, entry)]
        findings += found or [Finding(f"model {entry.name}: {entry.base_path}")]
    for name, reason in unusable_models(run_dir.running() or {}).items():
        findings.append(Finding(f"model {name} is not ready: {reason}", Level.WRONG, MEND_IT))
    return findings


def _faults(options: ResolvedOptions, entry: ModelEntry) -> Iterator[Fault]:
    """Return the faults of a model in the folders and on the Serving of this run."""
    yield from faults(entry)
    yield from _faults_of_versions(options, entry)


def _faults_of_versions(options: ResolvedOptions, entry: ModelEntry) -> Iterator[Fault]:
    if options.kind in GENUINE:
        yield from faults_of_genuine_server(entry)
    yield from random_faults(entry)
    yield from scaling_faults(entry)


def _pins() -> dict[str, str]:
    return pinned(ROOT / "constraints.txt")


def _finding(fault: Fault) -> Finding:
    return Finding(fault.text, Level.WRONG if fault.is_error else Level.NOTE, fault.fix)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
