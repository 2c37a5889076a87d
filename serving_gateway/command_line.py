"""Choose the subcommand, and turn every expected failure into one sentence and an exit code.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 nothing is running, 130 interrupted by Ctrl-C.
Nothing heavy is imported before the subcommand is known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import auto_cmd
from model_catalog.errors import CatalogError
from model_catalog.installation import install_command, require
from model_catalog.terminal_text import printable
from model_catalog.version import VERSION
from orchestrator.command_line import INTERRUPTED, run
from orchestrator.errors import OrchestratorError
from serving_gateway import demo, models

PROGRAM = "serving-gateway"
FAILED = 1
WRONG_USAGE = 2


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One row of the help."""

    help: str
    run: Callable[[Sequence[str]], int]
    """Takes the words after the name of the subcommand; returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    return guarded(lambda: _run(words))


def guarded(work: Callable[[], int]) -> int:
    """Return the exit code of the work, and turn an expected failure into one sentence."""
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OrchestratorError, CatalogError, ImportError, OSError) as error:
        sys.stderr.write(f"{sentence(error)}\n")
        return exit_code(error)
    return code


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage())
        return 0
    if words[0] == "--version":
        sys.stdout.write(f"{PROGRAM} {VERSION}\n")
        return 0
    chosen = SUBCOMMANDS.get(words[0])
    if chosen is None:
        known = ", ".join(SUBCOMMANDS)
        sys.stderr.write(f"{PROGRAM} has no command {words[0]!r}; allowed are {known}.\n")
        return WRONG_USAGE
    return chosen.run(words[1:])


def usage() -> str:
    """Return the help: one line for each subcommand."""
    width = max(map(len, SUBCOMMANDS))
    rows = "".join(f"  {name:{width}}  {row.help}\n" for name, row in SUBCOMMANDS.items())
    return (
        f"usage: {PROGRAM} COMMAND [OPTIONS]\n       {PROGRAM} --version\n\n"
        f"Classify images with TensorFlow Serving's models over HTTP.\n\ncommands:\n{rows}\n"
        f"{PROGRAM} COMMAND --help shows the options of a command.\n"
    )


def sentence(error: Exception) -> str:
    """Return an error as one line that names the file or the remedy."""
    if isinstance(error, ImportError):
        return f"{error.name or error} is not installed; run {install_command()}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{error.filename}: {error.strerror}.")
    return printable(" ".join(str(error).split()))


def exit_code(error: Exception) -> int:
    """Return the exit code that an error stands for."""
    if isinstance(error, OrchestratorError):
        return error.exit_code
    return WRONG_USAGE if isinstance(error, CatalogError) else FAILED


def _supervisor(name: str) -> Callable[[Sequence[str]], int]:
    return lambda words: run(auto_cmd.program(PROGRAM), [name, *words])


def _export(words: Sequence[str]) -> int:
    from scripts import export_saved_model

    return export_saved_model.main(words, prog=f"{PROGRAM} export")


def _export_detector(words: Sequence[str]) -> int:
    from scripts import export_detector

    return export_detector.main(words, prog=f"{PROGRAM} export-detector")


def _quantize(words: Sequence[str]) -> int:
    from scripts import quantize_model

    return quantize_model.main(words, prog=f"{PROGRAM} quantize")


def _classify(words: Sequence[str]) -> int:
    from scripts import classify

    return classify.main(words, prog=f"{PROGRAM} classify")


def _keys(words: Sequence[str]) -> int:
    require("gateway", "flask", "limits")
    from flask_server import keys

    return keys.main(words, prog=f"{PROGRAM} keys")


SUBCOMMANDS: Mapping[str, Subcommand] = {
    "demo": Subcommand(
        "fetch a small model of 1,000 ImageNet classes and serve it",
        lambda w: demo.main(w, PROGRAM),
    ),
    "start": Subcommand("start the servers and stay in the foreground", _supervisor("start")),
    "stop": Subcommand("stop the running servers", _supervisor("stop")),
    "restart": Subcommand("restart one server or both", _supervisor("restart")),
    "status": Subcommand("show what runs and which models are not ready", _supervisor("status")),
    "logs": Subcommand("show the last lines of the logs", _supervisor("logs")),
    "doctor": Subcommand("look for problems and print a fix for each", _supervisor("doctor")),
    "models": Subcommand(
        "list the models, and add, promote, compare and remove versions",
        lambda w: models.main(w, PROGRAM),
    ),
    "export": Subcommand("export a Keras model as the next version of a model", _export),
    "export-detector": Subcommand(
        "export a detector's SavedModel as the next version of a model", _export_detector
    ),
    "quantize": Subcommand("make the int8 form of an export, and check it", _quantize),
    "classify": Subcommand("classify all images of folders into a table", _classify),
    "keys": Subcommand("create, list and revoke API keys", _keys),
}
