"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

What stands here is what the orchestrator refuses to know: which models there are, when one is
ready, and what a person could ask them.
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
from model_catalog.folders import faults, version_folders
from model_catalog.models_file import ModelEntry, ModelsFile, load_models_file
from model_catalog.serving_config import has_version_labels, serving_config
from orchestrator.command_line import Program, run
from orchestrator.doctor import (
    Finding,
    examine_check,
    examine_disk,
    examine_ports,
    examine_python,
    pinned,
)
from orchestrator.errors import Misused
from orchestrator.instance import Plan
from orchestrator.probe import ask, first
from orchestrator.restart_policy import RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import (
    BATCHING,
    BATCHING_CONFIG,
    CONFIG,
    ServingCommand,
    Wish,
    serving_command,
)
from orchestrator.site import Site, gateway_child, serving_child, settle, start_options

ROOT = Path(__file__).resolve().parent
#: Two names of one package: which one is there depends on the platform.
TENSORFLOW = ["tensorflow-cpu", "tensorflow"]
INSTALL = (
    f"cd {ROOT} && python3 -m venv .venv && "
    ".venv/bin/python -m pip install -c constraints.txt -e '.[gateway,embedded]'"
)
DIGITS = "digits"
MEND = "correct what the sentence names"


def main(argv: Sequence[str]) -> int:
    """Run one command; 0 done, 1 failed, 2 misused, 3 nothing is running."""
    return run(program(), argv)


def program() -> Program:
    """Say what the command line is the command line of."""
    return Program(
        script=ROOT / "auto_cmd.py",
        summary=(__doc__ or "").split("\n")[0],
        run_dir=ROOT / ".run",
        children=("serving", "gateway"),
        start_options=start_options,
        plan=plan,
        examine=examine,
    )


class Served:
    """The models that the Serving of this run has; none when it is somebody else's."""

    def __init__(self, site: Site, models: ModelsFile) -> None:
        own = (entry for entry in models.entries if entry.serving_url is None)
        self.entries = [] if site.kind == "none" else list(own)
        self._site = site
        self._models = models
        self._configured: set[str] = set()
        self.broken: dict[str, str] = {}

    def live(self) -> list[str]:
        """Return the names of those that have a version: a start waits for these."""
        return [entry.name for entry in self.entries if _has_version(entry)]

    def knows(self, name: str) -> bool:
        """Tell whether there is such a model, whoever serves it."""
        return any(entry.name == name for entry in self._models.entries)

    def missing(self, names: Sequence[str]) -> str:
        """Return what keeps Serving from being ready, the empty string when nothing does."""
        missing = first(self._unavailable(name) for name in names)
        if missing or not names or set(names) - set(self.broken):
            return missing
        return f"no model can be loaded: {self.broken[names[0]]}"

    def _unavailable(self, name: str) -> str:
        """Return how far a model is; one that cannot be loaded is not waited for."""
        answer = ask(f"{self._site.serving_url}/v1/models/{quote(name)}")
        try:
            versions = json.loads(answer.body)["model_version_status"]
            states = [version["state"] for version in versions]
        except (ValueError, KeyError, TypeError):
            return f"model {name}: no status yet"
        if set(states) == {"END"}:
            # In one step: another thread may be reading what is broken.
            self.broken[name] = str(versions[0].get("status", {}).get("error_message", "END"))
            return ""
        self.broken.pop(name, None)
        return "" if "AVAILABLE" in states else f"model {name}: {', '.join(states) or 'no version'}"

    def write_config(self) -> None:
        """Write Serving's model config, anew when a model has got its first version."""
        if self._site.kind == "none":
            return
        # One model without a version would keep the genuine server from opening its ports; one that
        # was served once stays, even if its folder is out of reach for a moment.
        embedded = self._site.kind == "embedded"
        self._configured |= {e.name for e in self.entries} if embedded else set(self.live())
        entries = [entry for entry in self.entries if entry.name in self._configured]
        if self._site.kind == "docker":
            entries = [replace(entry, base_path=Path(_in_container(entry))) for entry in entries]
        config = serving_config(replace(self._models, entries=tuple(entries)))
        self._site.run_dir.write_text(CONFIG, config)

    def command(self) -> ServingCommand:
        """Return Serving's command line and write the files that it names."""
        site = self._site
        if site.kind == "none":
            return ServingCommand(f"none started, the gateway asks {site.serving_url}")
        self.write_config()
        if site.options.batching:
            site.run_dir.write_text(BATCHING_CONFIG, BATCHING.format(threads=site.threads))
        wish = Wish(
            rest_port=site.options.serving_port,
            grpc_port=site.options.grpc_port,
            timeout_s=site.deadline_s,
            threads=site.threads,
            folder=site.run_dir.path,
            python=site.python,
            volumes={entry.base_path: _in_container(entry) for entry in self.entries},
            batching=site.options.batching,
            labels=has_version_labels(self._models),
            computing=site.computing,
        )
        return serving_command(site.kind, wish)


def plan(options: argparse.Namespace, run_dir: RunDir) -> Plan:
    """Turn the options into two children, or one where Serving is somebody else's."""
    site = settle(options, run_dir, ROOT)
    models = _models(site)
    served = Served(site, models)
    command, live = served.command(), served.live()
    specs = [gateway_child(site, partial(_ready_paths, site, served, live))]
    if command.argv:
        alive = f"/v1/models/{quote(models.default.name)}"
        specs.insert(0, serving_child(site, command, partial(served.missing, live), alive))
    return Plan(
        specs=specs,
        ports=site.ports,
        chosen=[f"serving: {command.said}", *command.warnings, *_notes(site, served)],
        ready=partial(_hints, site, served, command.said),
        facts={"serving": {"kind": site.kind, "said": command.said, "url": site.serving_url}},
        tend=served.write_config,
        policy=RestartPolicy(start_timeout_s=options.start_timeout),
    )


def _ready_paths(site: Site, served: Served, live: Sequence[str]) -> list[str]:
    """Return the gateway's paths that must answer 200 before it is ready."""
    if site.kind == "none":
        return ["/readyz"]
    return [f"/readyz?model={quote(name)}" for name in live if name not in served.broken]


def _models(site: Site) -> ModelsFile:
    try:
        models = load_models_file(site.models_file)
    except CatalogError as error:
        raise Misused(str(error)) from error
    missing = None if site.kind == "none" else models.missing_folder()
    if missing:
        raise Misused(str(missing))
    return models


def _has_version(entry: ModelEntry) -> bool:
    if not entry.base_path.is_dir():
        return False
    found = set(version_folders(entry.base_path))
    return bool(found if isinstance(entry.versions, str) else found & set(entry.versions))


def _in_container(entry: ModelEntry) -> str:
    return f"/models/{entry.name}"


def _notes(site: Site, served: Served) -> Iterator[str]:
    """Say what was chosen beside the Serving, and what a person may not expect."""
    yield f"threads: {site.threads} for Serving, {site.env['GATEWAY_WORKERS']} gateway process(es)"
    asked = site.env["GATEWAY_SERVING_URL"]
    if asked != site.serving_url:
        yield f"note: GATEWAY_SERVING_URL={asked} is set, so the gateway asks there"
    for name in sorted({entry.name for entry in served.entries} - set(served.live())):
        yield f"note: model {name} has no version yet; the start does not wait for it"


def _hints(site: Site, served: Served, said: str) -> Iterator[str]:
    """Say where it answers, and commands to try; the digit gets a true label."""
    for name, reason in list(served.broken.items()):
        yield f"warning: model {name} cannot be loaded: {reason} (try: auto_cmd.py doctor)"
    here = Path() if Path.cwd() == ROOT else ROOT
    python, sample = here / ".venv/bin/python", here / "flask_server/flask_sample_request.py"
    url = site.gateway_url
    there = "" if url == "http://127.0.0.1:5000" else f" --url {url}"
    header = ""
    if site.env.get("GATEWAY_API_KEYS_FILE"):
        there, header = f"{there} --api-key KEY", "-H 'X-API-Key: KEY' "
    yield f"ready: {url} (serving: {said}); try next:"
    if served.knows(DIGITS):
        yield f"  {python} {sample} -i {here / 'test_images/digit_3.png'} --model {DIGITS}{there}"
    yield f"  {python} {sample} -i {here / 'test_images/cat.jpg'}{there}"
    yield f"  curl {header}{url}/models"


def examine(options: argparse.Namespace, run_dir: RunDir) -> list[Finding]:
    """Look for everything that would keep the two from working, for ``doctor``."""
    site = settle(options, run_dir, ROOT)
    packages = needed("gateway", *(["embedded"] if site.kind == "embedded" else []))
    findings = [
        *examine_python(site.python, packages, pinned(ROOT / "constraints.txt"), INSTALL),
        *examine_disk(run_dir.path),
        *examine_ports(site.ports, run_dir.own_pids()),
    ]
    try:
        models = load_models_file(site.models_file)
    except CatalogError as error:
        return [*findings, Finding(str(error), MEND)]
    findings.append(examine_check(gateway_child(site, tuple), MEND))
    for entry in Served(site, models).entries:
        found = [Finding(fault.text, fault.fix, fault.grave) for fault in faults(entry)]
        findings += found or [Finding(f"model {entry.name}: {entry.base_path}")]
    return findings


def needed(*extras: str) -> list[list[str]]:
    """Return the packages that extras of pyproject.toml name, each with what may stand for it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["optional-dependencies"]
    lines = (line for extra in extras for line in declared[extra])
    names = dict.fromkeys(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)
    groups = [TENSORFLOW if name in TENSORFLOW else [name] for name in names]
    return [group for at, group in enumerate(groups) if group not in groups[:at]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
