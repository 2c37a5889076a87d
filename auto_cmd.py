"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

The package ``orchestrator`` runs processes, and its package ``orchestrator.models`` knows what is
served. This module joins the two, for the checkout or the installation that contains it.
"""

from __future__ import annotations

import sys

if sys.platform == "win32" or sys.version_info < (3, 11):
    from orchestrator.interpreter import hand_over

    hand_over(sys.argv)

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from model_catalog.places import find_places
from model_catalog.version import VERSION
from orchestrator.child_specs import gateway_child, serving_child
from orchestrator.command_line import Program, run
from orchestrator.doctor import Finding
from orchestrator.instance import Plan
from orchestrator.models import examination
from orchestrator.models.entries import load_models
from orchestrator.models.model_health import unusable_models
from orchestrator.models.served_models import ServedModels
from orchestrator.models.start_messages import ready_lines, start_notes
from orchestrator.resolved_options import ResolvedOptions, resolve
from orchestrator.restart_policy import RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.start_options import add_start_options

ROOT = Path(__file__).resolve().parent


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
        notes=[
            f"serving: {command.description}",
            *command.warnings,
            *start_notes(options, served.entries),
        ],
        ready_lines=partial(ready_lines, options, served, command.description),
        facts=served.facts,
        housekeep=served.housekeep,
        policy=RestartPolicy(start_timeout_s=arguments.start_timeout),
    )


def examine(arguments: argparse.Namespace, run_dir: RunDir) -> list[Finding]:
    """Return the findings of ``doctor``."""
    return examination.examine(resolved(arguments, run_dir))


def resolved(arguments: argparse.Namespace, run_dir: RunDir) -> ResolvedOptions:
    """Combine options, environment and defaults; raise UsageError where they contradict.

    While an instance runs, its models file is the default.
    """
    running = run_dir.running() or {}
    default = Path(running.get("models_file", find_places(ROOT).models_file))
    return resolve(arguments, run_dir, ROOT, default)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
