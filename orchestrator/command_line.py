"""Parse the command line and run one of its commands.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 nothing is running, 130 interrupted by Ctrl-C
while waiting for another process. A ``start`` that the user ends is a success; one that ends
because a child failed is a failure.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import subcommands
from orchestrator.console import Console
from orchestrator.detach import LOG, detach
from orchestrator.doctor import Finding, report
from orchestrator.errors import OrchestratorError
from orchestrator.instance import Plan
from orchestrator.logs import LogStream, RotatingLog
from orchestrator.number_arguments import whole_number
from orchestrator.run_dir import RunDir

INTERRUPTED = 130
_LOG_LINES = 50
#: What the servers write, such as logs and metrics, is for their user alone.
_UMASK = 0o077
#: Commands about the running instance, whose state they read.
_ABOUT_RUNNING = {"stop", "restart", "status"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the command line needs to know about the project."""

    script: Path
    """The script that ``start --detach`` runs again in the background."""

    summary: str

    name: str
    """The name of the command in its help and messages."""

    version: str

    run_dir: Path
    children: Sequence[str]

    add_start_options: Callable[[argparse.ArgumentParser], None]
    """Adds the options that ``start`` and ``doctor`` share."""

    plan: Callable[[argparse.Namespace, RunDir], Plan]
    """Returns what to start with these options, or raises an OrchestratorError."""

    examine: Callable[[argparse.Namespace, RunDir], Sequence[Finding]]
    """Returns the findings of ``doctor`` for these options."""

    unusable_models: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: {}
    """Returns the models of a running instance that cannot be used, with the reason of each; takes
    the state of the instance."""


def run(program: Program, argv: Sequence[str]) -> int:
    """Run one command and return its exit code; no command means ``start``."""
    _open_standard_streams()
    no_command = not argv or (
        argv[0].startswith("-") and argv[0] not in {"-h", "--help", "--version"}
    )
    words = ["start", *argv] if no_command else list(argv)
    options = parser(program).parse_args(words)
    try:
        return _run(program, options, words)
    except OrchestratorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"{error.filename}: {error.strerror}.\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _open_standard_streams() -> None:
    """Let closed standard streams, as some init scripts leave them, lead to nowhere.

    Otherwise a file that is opened later would become the standard output of the children. What the
    encoding of standard output lacks, such as a letter in a path, is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the lowest free number is taken
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(program: Program, options: argparse.Namespace, words: Sequence[str]) -> int:
    run_dir = RunDir(options.run_dir.absolute())
    console = Console()
    if options.command in _ABOUT_RUNNING:
        run_dir.require_readable()
    match options.command:
        case "stop":
            return subcommands.stop(run_dir, console)
        case "restart":
            return subcommands.restart(
                run_dir,
                options.child,
                console,
                command=program.name,
                unusable_models=program.unusable_models,
            )
        case "status":
            return subcommands.status(
                run_dir,
                console,
                as_json=options.json,
                command=program.name,
                unusable_models=program.unusable_models,
            )
        case "logs":
            names = [options.child] if options.child else list(program.children)
            return subcommands.show_logs(run_dir, names, options.lines, follow=options.follow)
        case "doctor":
            return report(program.examine(options, run_dir), console)
    return _start(program, options, run_dir, words)


def _start(
    program: Program, options: argparse.Namespace, run_dir: RunDir, words: Sequence[str]
) -> int:
    os.umask(_UMASK)
    if options.daemon:
        console = Console(LogStream(RotatingLog(run_dir.log(LOG))))
        return subcommands.start(run_dir, lambda: program.plan(options, run_dir), console)
    console = Console()
    if not options.detach:
        return subcommands.start(run_dir, lambda: program.plan(options, run_dir), console)
    if run_dir.running() is not None:
        return subcommands.already_running(run_dir, program.plan(options, run_dir), console)
    program.plan(options, run_dir)  # so that wrong options are reported here and not in the log
    again = [word for word in words if word != "--detach"]
    return detach([sys.executable, str(program.script), *again, "--daemon"], run_dir, console)


def parser(program: Program) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog=program.name, description=f"{program.summary} Without a command: start."
    )
    _add_version(top, program)
    common = _common_options(program)
    subparsers = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        # No abbreviations, since ``--detach`` is removed by its full name before the second start.
        return subparsers.add_parser(
            name, parents=[common], help=text, description=text, allow_abbrev=False
        )

    start = add("start", "start all servers and stay in the foreground")
    _add_background_options(start)
    program.add_start_options(start)
    add("stop", "stop the running instance")
    restart = add("restart", "restart one server or all; the gateway loses no request")
    _add_restart_options(restart, program.children)
    status = add("status", "show what runs; exit code 0: ready, 1: not ready, 3: nothing runs")
    status.add_argument("--json", action="store_true", help="print JSON for programs")
    _add_log_options(add("logs", "show the last lines of the logs"), program.children)
    program.add_start_options(
        add("doctor", "look for problems that would keep the servers from working")
    )
    return top


def _add_version(top: argparse.ArgumentParser, program: Program) -> None:
    top.add_argument(
        "--version",
        action="version",
        version=f"{program.name} {program.version}",
        help="print the version",
    )


def _common_options(program: Program) -> argparse.ArgumentParser:
    """Return the options that every command takes."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--run-dir",
        type=Path,
        default=program.run_dir,
        help="folder for state and logs, one per instance",
    )
    return common


def _add_background_options(start: argparse.ArgumentParser) -> None:
    start.add_argument(
        "--detach", action="store_true", help="run in the background; return once all is ready"
    )
    start.add_argument("--daemon", action="store_true", help=argparse.SUPPRESS)


def _add_restart_options(restart: argparse.ArgumentParser, children: Sequence[str]) -> None:
    restart.add_argument("child", nargs="?", choices=children, help="server to restart (all)")


def _add_log_options(logs: argparse.ArgumentParser, children: Sequence[str]) -> None:
    logs.add_argument(
        "child", nargs="?", choices=[*children, LOG], help="log to show (all servers)"
    )
    logs.add_argument(
        "-f", "--follow", action="store_true", help="keep printing new lines until Ctrl-C"
    )
    logs.add_argument(
        "-n",
        "--lines",
        type=whole_number(0),
        default=_LOG_LINES,
        help=f"number of lines ({_LOG_LINES})",
    )
