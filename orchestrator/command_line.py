"""Parse the command line and run one command; what is started is handed in.

Exit codes: 0 done, 1 failed, 2 misused, 3 nothing is running, 130 interrupted while waiting. A
start that ends because a child could not be kept running is a failure, one that a person ends is
not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import subcommands
from orchestrator.console import Console
from orchestrator.detach import LOG, detach
from orchestrator.doctor import Finding, report
from orchestrator.errors import OrchestratorError
from orchestrator.instance import Plan
from orchestrator.logs import LogStream, RotatingLog
from orchestrator.numbers import whole
from orchestrator.run_dir import RunDir

INTERRUPTED = 130
_LINES = 50


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the command line is the command line of."""

    script: Path
    """The file to start again in the background."""

    summary: str
    run_dir: Path
    children: Sequence[str]

    start_options: Callable[[argparse.ArgumentParser], None]
    """Adds the options of ``start``, which ``doctor`` takes as well."""

    plan: Callable[[argparse.Namespace, RunDir], Plan]
    """Turns the options into what to start, or raises an OrchestratorError."""

    examine: Callable[[argparse.Namespace, RunDir], Sequence[Finding]]
    """Looks for everything that would keep the children from working."""


def run(program: Program, argv: Sequence[str]) -> int:
    """Run one command and return its exit code; no command means ``start``."""
    bare = not argv or (argv[0].startswith("-") and argv[0] not in {"-h", "--help"})
    words = ["start", *argv] if bare else list(argv)
    options = parser(program).parse_args(words)
    try:
        return _run(program, options, words)
    except OrchestratorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(program: Program, options: argparse.Namespace, words: Sequence[str]) -> int:
    run_dir = RunDir(options.run_dir.absolute())
    console = Console()
    match options.command:
        case "stop":
            return subcommands.stop(run_dir, console)
        case "restart":
            return subcommands.restart(run_dir, options.child, console)
        case "status":
            return subcommands.status(run_dir, console, as_json=options.json)
        case "logs":
            names = [options.child] if options.child else list(program.children)
            return subcommands.show_logs(run_dir, names, options.lines, follow=options.follow)
        case "doctor":
            return report(program.examine(options, run_dir), console)
    return _start(program, options, run_dir, words)


def _start(
    program: Program, options: argparse.Namespace, run_dir: RunDir, words: Sequence[str]
) -> int:
    if options.behind:
        console = Console(LogStream(RotatingLog(run_dir.log(LOG))))
        return subcommands.start(run_dir, lambda: program.plan(options, run_dir), console)
    console = Console()
    if not options.detach:
        return subcommands.start(run_dir, lambda: program.plan(options, run_dir), console)
    if run_dir.running() is not None:
        return subcommands.already_running(run_dir, console)
    program.plan(options, run_dir)  # what is wrong with the options is said here, not in a log
    again = [word for word in words if word != "--detach"]
    return detach([sys.executable, str(program.script), *again, "--behind"], run_dir, console)


def parser(program: Program) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--run-dir", type=Path, default=program.run_dir, help="state and logs")
    top = argparse.ArgumentParser(prog=program.script.name, description=program.summary)
    verbs = top.add_subparsers(dest="command", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        # No abbreviations: what goes on in the background is started by the same words.
        return verbs.add_parser(
            name, parents=[common], help=text, description=text, allow_abbrev=False
        )

    start = verb("start", "start all and stay; no command means this")
    start.add_argument("--detach", action="store_true", help="return once all is ready")
    start.add_argument("--behind", action="store_true", help=argparse.SUPPRESS)
    program.start_options(start)
    verb("stop", "stop what start has started")
    restart = verb("restart", "restart one child or all, the gateway without a lost request")
    restart.add_argument("child", nargs="?", choices=program.children)
    status = verb("status", "say what runs: exit code 0 ready, 1 not ready, 3 nothing runs")
    status.add_argument("--json", action="store_true", help="for programs")
    logs = verb("logs", "show the last lines of the logs")
    logs.add_argument("child", nargs="?", choices=[*program.children, LOG])
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("-n", "--lines", type=whole(0), default=_LINES, help=f"how many ({_LINES})")
    program.start_options(verb("doctor", "look for what would keep the children from working"))
    return top
