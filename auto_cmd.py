"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

The package ``orchestrator`` runs processes, and ``orchestrator.models`` asks them for models. This
module adds the models that are served, when they are ready, and requests to try.
"""

from __future__ import annotations

import sys

if sys.platform == "win32" or sys.version_info < (3, 11):
    from orchestrator.interpreter import hand_over

    hand_over(sys.argv)

import argparse
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from model_catalog.errors import CatalogError
from model_catalog.extras import required_packages
from model_catalog.folders import Fault, faults, version_folders
from model_catalog.installation import install_command, is_checkout
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile, load_models_file
from model_catalog.models_file_watch import ModelsFileWatch, changes
from model_catalog.places import find_places
from model_catalog.serving_config import next_step, serving_config
from model_catalog.version import VERSION
from model_catalog.version_checks import (
    faults_of_genuine_server,
    random_faults,
    scaling_faults,
)
from orchestrator.child_specs import STATUS_PATH, gateway_child, serving_child
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
from orchestrator.models.model_health import readiness, served_versions, unusable_models
from orchestrator.probe import ask, first
from orchestrator.problem import Problem
from orchestrator.resolved_options import KEYS_FILE, SERVING_URL, ResolvedOptions, resolve
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
#: Whether this is a checkout of the project; otherwise pip installed it.
IS_CHECKOUT = is_checkout(ROOT)
COMMAND = "auto_cmd.py" if IS_CHECKOUT else "serving-gateway"
INSTALL = f"cd {shlex.quote(str(ROOT))} && make run" if IS_CHECKOUT else install_command()
DIGITS = "digits"
IMAGES = ("digit_3.png", "cat.jpg")
#: Kinds of Serving that are TensorFlow's own program.
GENUINE = {"native", "docker"}
#: Time after which a model that the gateway reports as unusable is no longer waited for.
UNUSABLE_S = 2.0
#: Longest time until every process of the gateway has taken up a changed models file.
GATEWAY_POLLS_S = 5.0
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


class ServedModels:
    """The models of the models file, and the config file of the Serving that this run starts."""

    def __init__(
        self,
        options: ResolvedOptions,
        models: ModelsFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._clock = clock
        self._watch = ModelsFileWatch(models, partial(_check, options.kind))
        self._removed: dict[str, tuple[ModelEntry, float]] = {}
        self._moved: set[str] = set()
        self._mounted = {entry.name: entry.base_path for entry in self.entries}
        self._configured: set[str] = set()
        self._labelled: dict[str, Mapping[str, int]] = {}
        self._waiting: set[str] = set()
        self._is_held = False
        self._unusable_since: dict[str, float] = {}
        self.is_announced = False
        """Whether the start is over; from then on, unusable models keep no child from readiness."""
        self.names = [entry.name for entry in models.entries]
        """All configured models; the list stays the same object."""
        self.facts: dict[str, Any] = {
            "models": self.names,
            "models_file": str(options.models_file),
            "models_file_problem": "",
        }
        """Entries of the state file; the dict stays the same object."""
        self.broken: dict[str, str] = {}
        """Serving's error message for each model that it could not load."""
        self.unusable: dict[str, str] = {}
        """The gateway's reason for each model that it cannot use, though Serving has loaded it."""

    @property
    def entries(self) -> list[ModelEntry]:
        """The models that this run's Serving serves; none where Serving is started elsewhere."""
        local = [entry for entry in self._watch.models.entries if entry.serving_url is None]
        return [] if self._options.kind == "none" else local

    def with_version(self) -> list[str]:
        """Return the names of the models that have a version to serve."""
        return [entry.name for entry in self.entries if _versions(entry)]

    def refuse(self) -> Problem | None:
        """Return what is wrong with the models file; None when it can be used."""
        try:
            _models(self._options)
        except UsageError as error:
            return Problem(str(error))
        return None

    def prepare_serving(self) -> None:
        """Read the models file again and write the files for a Serving that starts.

        tensorflow_model_server exits when a model of its first list cannot be loaded, and reports
        such a model of a later list. So its first list is empty.
        """
        self._labelled = {}
        self._is_held = self._options.kind in GENUINE
        if self._options.arguments.batching:
            text = BATCHING.format(threads=self._options.threads)
            self._options.run_dir.write_text(BATCHING_CONFIG, text)
        try:
            self.take_up()
        finally:  # no request is in flight
            self._removed = {}
            self.write_config()

    def take_up(self) -> None:
        """Read the models file again and tell Serving the list.

        Raises UsageError if the file is wrong; the list of before then stays in use.
        """
        before = self._watch.models
        try:
            self._watch.accept(_models(self._options))
            self._use(before)
        finally:
            self.write_config()

    def _use(self, before: ModelsFile) -> None:
        """Adapt what is known of the models to the present file."""
        self.names[:] = [entry.name for entry in self._watch.models.entries]
        self.facts["models_file_problem"] = self._watch.problem or ""
        for known in (self.broken, self.unusable, self._unusable_since):
            known.clear()
        local = {entry.name: entry for entry in self.entries}
        for old in before.entries:
            if old.serving_url is not None:
                continue
            new = local.get(old.name)
            if new is None:
                self._removed[old.name] = (old, self._clock() + self._removal_s())
            elif new.base_path != old.base_path:
                self._moved.add(old.name)
        for name in self._removed.keys() & local.keys():
            entry, _ = self._removed.pop(name)
            if entry.base_path != local[name].base_path:
                self._moved.add(name)
        self._moved &= local.keys()

    def _removal_s(self) -> float:
        """Return how long Serving keeps a removed model, so that requests in flight are answered.

        The gateway takes no new requests for it after its next polls of the models file.
        """
        return self._options.deadline_s + GATEWAY_POLLS_S

    def serving_problem(self) -> Problem | None:
        """Return why the models are not served yet; None when each is available or broken.

        If all of them are broken, that is a problem too, until the start is over.
        """
        if self._is_held:
            url = self._options.serving_url + STATUS_PATH
            if ask(url).status is None:
                return Problem(f"{url} does not answer")
            self._is_held = False
            self.write_config()
        names = self.with_version()
        missing = first(self._unavailable(name) for name in names)
        if missing or not names or self.is_announced or set(names) - set(self.broken):
            return missing
        return Problem(f"no model can be loaded: {self.broken[names[0]]}")

    def _unavailable(self, name: str) -> Problem | None:
        """Return the states of a model's versions; None when one is available or all failed."""
        found = served_versions(self._options.serving_url, name)
        if found is None:
            return Problem(f"model {name}: no status yet")
        if found.is_broken:
            self.broken[name] = found.error
            return None
        self.broken.pop(name, None)
        if found.available:
            return None
        return Problem(f"model {name}: {', '.join(found.states.values()) or 'no version'}")

    def gateway_problem(self) -> Problem | None:
        """Return why the gateway cannot use the models yet; None when it can or never will.

        If it can use none of them, that is a problem too, until the start is over.
        """
        names = self.names if self._options.kind == "none" else self.with_version()
        names = [name for name in names if name not in self.broken]
        missing = first(self._not_ready(name) for name in names)
        if missing or not names or self.is_announced or set(names) - set(self.unusable):
            return missing
        return Problem(f"no model can be used: {self.unusable[names[0]]}")

    def _not_ready(self, name: str) -> Problem | None:
        url, log = self._options.gateway_url, self._options.run_dir.log("gateway")
        found = readiness(url, name, log)
        if found is None:
            return Problem(f"{url} does not answer")
        if found.ready or not found.unusable:
            self._unusable_since.pop(name, None)
            self.unusable.pop(name, None)
            return None if found.ready else self._waits(name, found.reason)
        since = self._unusable_since.setdefault(name, time.monotonic())
        if time.monotonic() - since < UNUSABLE_S:
            return Problem(f"model {name}: {found.reason}")
        self.unusable[name] = found.reason
        return None

    def _waits(self, name: str, reason: str) -> Problem | None:
        """Return the reason of the gateway, unless Serving says that waiting does not help."""
        found = served_versions(self._options.serving_url, name)
        if found is None or not found.is_broken:
            return Problem(f"model {name}: {reason}")
        self.broken[name] = found.error
        return None

    def write_config(self) -> None:
        """Write Serving's model config file, which the servers read again when it changes."""
        if self._options.kind == "none":
            return
        self._settle_moves()
        now = self._clock()
        self._removed = {n: (entry, end) for n, (entry, end) in self._removed.items() if end > now}
        # tensorflow_model_server loads nothing else while a configured model has no version, so
        # such a model is left out. A model that was configured once stays configured, even while
        # its folder cannot be read.
        embedded = self._options.kind == "embedded"
        ready = {entry.name for entry in self.entries} if embedded else set(self.with_version())
        leaving = [entry for entry, _ in self._removed.values()]
        self._configured = (self._configured & {e.name for e in (*self.entries, *leaving)}) | ready
        entries = [self._next_step(entry) for entry in self.entries if self._is_listed(entry)]
        entries += [entry for entry in leaving if self._is_listed(entry)]
        self._labelled = {entry.name: entry.version_labels for entry in entries}
        if self._options.kind == "docker":
            entries = [replace(entry, base_path=Path(_in_container(entry))) for entry in entries]
        config = serving_config(replace(self._watch.models, entries=tuple(entries)))
        self._options.run_dir.write_text(CONFIG, config)

    def _settle_moves(self) -> None:
        """Forget the moves of models that Serving has unloaded.

        Serving takes a version of the new base path for the loaded one of the same number, so the
        model is first left out of the config.
        """
        for name in tuple(self._moved):
            found = served_versions(self._options.serving_url, name)
            if found is None or set(found.states.values()) <= {"END"}:
                self._moved.discard(name)

    def _is_listed(self, entry: ModelEntry) -> bool:
        is_here = self._options.kind != "docker" or self._is_mounted(entry)
        is_waiting = self._is_held or entry.name in self._moved
        return entry.name in self._configured and is_here and not is_waiting

    def _is_mounted(self, entry: ModelEntry) -> bool:
        return self._mounted.get(entry.name) == entry.base_path

    def _next_step(self, entry: ModelEntry) -> ModelEntry:
        labelled = self._labelled.get(entry.name, {})
        if all(labelled.get(label, to) == to for label, to in entry.version_labels.items()):
            return entry
        found = served_versions(self._options.serving_url, entry.name)
        newest = max(_versions(entry), default=None)
        return next_step(entry, labelled, found.available if found else (), newest)

    def housekeep(self) -> list[str]:
        """Take up a changed models file and write the config file again if need be.

        Returns messages about the file and about what waits.
        """
        messages = list(self._poll_file())
        self.write_config()
        waiting = set(self._waits_of_labels())
        if self._options.kind == "docker":
            waiting |= {
                f"model {entry.name} is not served: its folder is not mounted in the container; "
                f"stop and start ({COMMAND} stop)"
                for entry in self.entries
                if not self._is_mounted(entry)
            }
        messages += sorted(waiting - self._waiting)
        self._waiting = waiting
        return messages

    def _poll_file(self) -> Iterator[str]:
        before = self._watch.models
        if not self._watch.poll():
            return
        if self._watch.problem:
            self.facts["models_file_problem"] = self._watch.problem
            yield f"the changed models file is not used: {self._watch.problem}"
            return
        self._use(before)
        told = "; ".join(changes(before, self._watch.models))
        yield f"models file: {told or 'no difference to the one in use'}"

    def _waits_of_labels(self) -> Iterator[str]:
        for entry in self.entries:
            labelled = self._labelled.get(entry.name, {})
            for label, version in entry.version_labels.items():
                if labelled.get(label, version) != version:
                    yield (
                        f"label {label} of model {entry.name} waits for version {version} to be "
                        "available"
                    )

    def command(self) -> ServingCommand:
        """Return Serving's command line."""
        options = self._options
        if options.kind == "none":
            return ServingCommand(f"none started, the gateway asks {options.serving_url}")
        serving_options = ServingOptions(
            rest_port=options.arguments.serving_port,
            grpc_port=options.arguments.grpc_port,
            timeout_s=options.deadline_s,
            threads=options.threads,
            folder=options.run_dir.path,
            python=options.python,
            volumes={entry.base_path: _in_container(entry) for entry in self.entries},
            batching=options.arguments.batching,
            engine_flags=options.engine_flags,
        )
        return serving_command(options.kind, serving_options)


def plan(arguments: argparse.Namespace, run_dir: RunDir) -> Plan:
    """Return what ``start`` starts: Serving and the gateway, or the gateway alone."""
    options = resolved(arguments, run_dir)
    served = ServedModels(options, _models(options))
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


def _models(options: ResolvedOptions) -> ModelsFile:
    try:
        models = load_models_file(options.models_file)
        _check(options.kind, models)
    except CatalogError as error:
        raise UsageError(told(error, options.models_file)) from error
    return models


def _check(kind: str, models: ModelsFile) -> None:
    """Raise CatalogError if this kind of Serving cannot serve the models."""
    if kind != "none":
        models.require_folders()
    if kind not in {"none", "embedded"}:
        models.refuse_logging()


def _versions(entry: ModelEntry) -> set[int]:
    """Return the versions in the model's folder that Serving is to serve."""
    try:
        found = set(version_folders(entry.base_path))
    except OSError:  # it is not there, or may not be read
        return set()
    return found if isinstance(entry.versions, str) else found & set(entry.versions)


def _in_container(entry: ModelEntry) -> str:
    return f"/models/{entry.name}"


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
    there, served = set(version_folders(entry.base_path)), _versions(entry)
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
    served.is_announced = True
    for name, reason in served.broken.items():
        yield f"warning: model {name} cannot be loaded: {reason} (try: {COMMAND} doctor)"
    for name, reason in served.unusable.items():
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
        return [*findings, Finding(told(error, options.models_file), Level.WRONG, CORRECT_IT)]
    if is_installed:  # otherwise the check repeats that a package is missing
        findings.append(examine_check(gateway_child(options, lambda: None), CORRECT_IT))
    for entry in ServedModels(options, models).entries:
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


def told(error: CatalogError, models_file: Path) -> str:
    """Return the sentence of an error; for a models file that is not there, what to do."""
    if not isinstance(error.__cause__, FileNotFoundError):
        return str(error)
    try_it = "" if IS_CHECKOUT else ", or try serving-gateway demo, which brings a model"
    return (
        f"The models file {models_file} cannot be read, as it does not exist: write one as "
        f"docs/models_file.md says, name another with --models-file{try_it}."
    )


def _finding(fault: Fault) -> Finding:
    return Finding(fault.text, Level.WRONG if fault.is_error else Level.NOTE, fault.fix)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
