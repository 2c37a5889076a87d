"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

The package ``orchestrator`` runs processes and knows nothing of models. This module adds what
depends on them: the models that are served, when they are ready, and requests to try.
"""

from __future__ import annotations

import sys

if sys.platform == "win32" or sys.version_info < (3, 11):
    from orchestrator.interpreter import hand_over

    hand_over(sys.argv)

import argparse
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from model_catalog.errors import CatalogError
from model_catalog.folders import Fault, faults, version_folders
from model_catalog.models_file import ModelEntry, ModelsFile, load_models_file
from model_catalog.serving_config import has_version_labels, serving_config
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
from orchestrator.errors import UsageError
from orchestrator.instance import Plan
from orchestrator.probe import ask, first
from orchestrator.problem import Problem
from orchestrator.resolved_options import ResolvedOptions, resolve
from orchestrator.restart_policy import RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import (
    BATCHING,
    BATCHING_CONFIG,
    CONFIG,
    ServingCommand,
    ServingOptions,
    serving_command,
)
from orchestrator.start_options import add_start_options

ROOT = Path(__file__).resolve().parent
#: Alternative names of one package; the platform decides which one is installed.
TENSORFLOW = ["tensorflow-cpu", "tensorflow"]
INSTALL = (
    f"cd {ROOT} && python3 -m venv .venv && "
    ".venv/bin/python -m pip install -c constraints.txt -e '.[gateway,embedded]'"
)
DIGITS = "digits"
CORRECT_IT = "correct the setting or file that the message names"


def main(argv: Sequence[str]) -> int:
    """Run one command; return 0 on success, 1 on failure, 2 on wrong usage, 3 if nothing runs."""
    return run(program(), argv)


def program() -> Program:
    """Return what the command line needs to know about this project."""
    return Program(
        script=ROOT / "auto_cmd.py",
        summary=(__doc__ or "").split("\n")[0],
        run_dir=ROOT / ".run",
        children=("serving", "gateway"),
        add_start_options=add_start_options,
        plan=plan,
        examine=examine,
    )


class ServedModels:
    """The models that this run's Serving serves; none where Serving is started elsewhere."""

    def __init__(self, options: ResolvedOptions, models: ModelsFile) -> None:
        local = (entry for entry in models.entries if entry.serving_url is None)
        self.entries = [] if options.kind == "none" else list(local)
        self._options = options
        self._models = models
        self._configured: set[str] = set()
        self.broken: dict[str, str] = {}
        """Serving's error message for each model that it could not load."""

    def with_version(self) -> list[str]:
        """Return the names of the models that have a version to serve."""
        return [entry.name for entry in self.entries if _has_version(entry)]

    def is_configured(self, name: str) -> bool:
        """Tell whether the models file has a model of this name, served here or elsewhere."""
        return any(entry.name == name for entry in self._models.entries)

    def missing(self, names: Sequence[str]) -> Problem | None:
        """Return why the models are not served yet; None when each is available or broken.

        If all of them are broken, that is a problem too.
        """
        missing = first(self._unavailable(name) for name in names)
        if missing or not names or set(names) - set(self.broken):
            return missing
        return Problem(f"no model can be loaded: {self.broken[names[0]]}")

    def _unavailable(self, name: str) -> Problem | None:
        """Return the states of a model's versions; None when one is available or all failed."""
        answer = ask(f"{self._options.serving_url}/v1/models/{quote(name)}")
        try:
            versions = json.loads(answer.body)["model_version_status"]
            states = [version["state"] for version in versions]
        except (ValueError, KeyError, TypeError):
            return Problem(f"model {name}: no status yet")
        if set(states) == {"END"}:
            # A single assignment, since another thread may read ``broken``.
            self.broken[name] = str(versions[0].get("status", {}).get("error_message", "END"))
            return None
        self.broken.pop(name, None)
        if "AVAILABLE" in states:
            return None
        return Problem(f"model {name}: {', '.join(states) or 'no version'}")

    def write_config(self) -> None:
        """Write Serving's model config file, which the servers read again when it changes."""
        if self._options.kind == "none":
            return
        # tensorflow_model_server keeps its ports closed while a configured model has no version, so
        # such a model is left out. A model that was configured once stays configured, even while
        # its folder cannot be read.
        embedded = self._options.kind == "embedded"
        ready = {entry.name for entry in self.entries} if embedded else set(self.with_version())
        self._configured |= ready
        entries = [entry for entry in self.entries if entry.name in self._configured]
        if self._options.kind == "docker":
            entries = [replace(entry, base_path=Path(_in_container(entry))) for entry in entries]
        config = serving_config(replace(self._models, entries=tuple(entries)))
        self._options.run_dir.write_text(CONFIG, config)

    def command(self) -> ServingCommand:
        """Write the files that Serving reads and return its command line."""
        options = self._options
        if options.kind == "none":
            return ServingCommand(f"none started, the gateway asks {options.serving_url}")
        self.write_config()
        if options.arguments.batching:
            options.run_dir.write_text(BATCHING_CONFIG, BATCHING.format(threads=options.threads))
        serving_options = ServingOptions(
            rest_port=options.arguments.serving_port,
            grpc_port=options.arguments.grpc_port,
            timeout_s=options.deadline_s,
            threads=options.threads,
            folder=options.run_dir.path,
            python=options.python,
            volumes={entry.base_path: _in_container(entry) for entry in self.entries},
            batching=options.arguments.batching,
            labels=has_version_labels(self._models),
            engine_flags=options.engine_flags,
        )
        return serving_command(options.kind, serving_options)


def plan(arguments: argparse.Namespace, run_dir: RunDir) -> Plan:
    """Return what ``start`` starts: Serving and the gateway, or the gateway alone."""
    options = resolve(arguments, run_dir, ROOT)
    models = _models(options)
    served = ServedModels(options, models)
    command, awaited = served.command(), served.with_version()
    specs = [gateway_child(options, partial(_ready_paths, options, served, awaited))]
    if command.argv:
        alive = f"/v1/models/{quote(models.default.name)}"
        specs.insert(0, serving_child(options, command, partial(served.missing, awaited), alive))
    # The key "said" is read by programs that call ``status --json``.
    serving = {"kind": options.kind, "said": command.description, "url": options.serving_url}
    return Plan(
        specs=specs,
        ports=options.ports,
        notes=[f"serving: {command.description}", *command.warnings, *_notes(options, served)],
        ready_lines=partial(_ready_lines, options, served, command.description),
        facts={"serving": serving},
        housekeep=served.write_config,
        policy=RestartPolicy(start_timeout_s=arguments.start_timeout),
    )


def _ready_paths(
    options: ResolvedOptions, served: ServedModels, awaited: Sequence[str]
) -> list[str]:
    """Return the gateway's paths that must answer 200 before it is ready."""
    if options.kind == "none":
        return ["/readyz"]
    return [f"/readyz?model={quote(name)}" for name in awaited if name not in served.broken]


def _models(options: ResolvedOptions) -> ModelsFile:
    try:
        models = load_models_file(options.models_file)
        if options.kind != "none":
            models.require_folders()
    except CatalogError as error:
        raise UsageError(str(error)) from error
    return models


def _has_version(entry: ModelEntry) -> bool:
    if not entry.base_path.is_dir():
        return False
    found = set(version_folders(entry.base_path))
    return bool(found if isinstance(entry.versions, str) else found & set(entry.versions))


def _in_container(entry: ModelEntry) -> str:
    return f"/models/{entry.name}"


def _notes(options: ResolvedOptions, served: ServedModels) -> Iterator[str]:
    """Return the lines about processes, environment and models that a start prints first."""
    workers = options.env["GATEWAY_WORKERS"]
    yield f"threads: {options.threads} for Serving, {workers} gateway process(es)"
    url = options.env["GATEWAY_SERVING_URL"]
    if url != options.serving_url:
        yield f"note: GATEWAY_SERVING_URL={url} is set, so the gateway sends its calls there"
    for name in sorted({entry.name for entry in served.entries} - set(served.with_version())):
        yield f"note: model {name} has no version yet; the start does not wait for it"


def _ready_lines(options: ResolvedOptions, served: ServedModels, description: str) -> Iterator[str]:
    """Return the lines that a start prints once all is ready: address and commands to try."""
    for name, reason in list(served.broken.items()):
        yield f"warning: model {name} cannot be loaded: {reason} (try: auto_cmd.py doctor)"
    here = Path() if Path.cwd() == ROOT else ROOT
    python, sample = here / ".venv/bin/python", here / "flask_server/flask_sample_request.py"
    url = options.gateway_url
    extra = "" if url == "http://127.0.0.1:5000" else f" --url {url}"
    header = ""
    if options.env.get("GATEWAY_API_KEYS_FILE"):
        extra, header = f"{extra} --api-key KEY", "-H 'X-API-Key: KEY' "
    yield f"ready: {url} (serving: {description}); try next:"
    if served.is_configured(DIGITS):
        yield f"  {python} {sample} -i {here / 'test_images/digit_3.png'} --model {DIGITS}{extra}"
    yield f"  {python} {sample} -i {here / 'test_images/cat.jpg'}{extra}"
    yield f"  curl {header}{url}/models"


def examine(arguments: argparse.Namespace, run_dir: RunDir) -> list[Finding]:
    """Return the findings of ``doctor``."""
    options = resolve(arguments, run_dir, ROOT)
    packages = needed("gateway", *(["embedded"] if options.kind == "embedded" else []))
    findings = [
        *examine_python(options.python, packages, pinned(ROOT / "constraints.txt"), INSTALL),
        *examine_disk(run_dir.path),
        *examine_ports(options.ports, run_dir.own_pids()),
    ]
    try:
        models = load_models_file(options.models_file)
    except CatalogError as error:
        return [*findings, Finding(str(error), Level.WRONG, CORRECT_IT)]
    findings.append(examine_check(gateway_child(options, tuple), CORRECT_IT))
    for entry in ServedModels(options, models).entries:
        found = [_finding(fault) for fault in faults(entry)]
        findings += found or [Finding(f"model {entry.name}: {entry.base_path}")]
    return findings


def _finding(fault: Fault) -> Finding:
    return Finding(fault.text, Level.WRONG if fault.is_error else Level.NOTE, fault.fix)


def needed(*extras: str) -> list[list[str]]:
    """Return the packages of extras in pyproject.toml, each as a group of alternative names."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["optional-dependencies"]
    lines = (line for extra in extras for line in declared[extra])
    names = dict.fromkeys(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)
    groups = [TENSORFLOW if name in TENSORFLOW else [name] for name in names]
    return [group for at, group in enumerate(groups) if group not in groups[:at]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
