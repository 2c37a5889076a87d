"""Serve a small trained model that a first start fetches: ``serving-gateway demo``.

The model lies in a folder of its own with a models file of its own, so that the user's models are
left alone. The run folder is the usual one: status, logs, stop and models work on the demo too.
"""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import auto_cmd
from model_catalog.errors import CatalogError
from model_catalog.installation import require
from model_catalog.places import MODELS_FILE, find_places, user_data
from orchestrator.command_line import Program, run
from orchestrator.errors import OrchestratorError
from orchestrator.instance import Plan
from orchestrator.run_dir import RunDir
from serving_gateway.instance import is_same_file

MODEL = "efficientnet_lite0"
_MODELS_TOML = f"""\
# Written by `serving-gateway demo`, which serves the models of this file.

[models.{MODEL}]
base_path = "{MODEL}"
"""

Prepare = Callable[[Path], Path]
"""Writes a version of the model below the base path, unless it is there; returns its folder."""


class DemoFailed(OrchestratorError):
    """The model could not be fetched, or servers with other models run already."""


def main(argv: Sequence[str], program: str, prepare: Prepare | None = None) -> int:
    """Serve the demo model until it is stopped; return the exit code of ``start``."""
    options, start_words = parser(program).parse_known_args(argv)
    models_file = (options.folder or user_data() / "demo").absolute() / MODELS_FILE
    run_dir = RunDir((options.run_dir or find_places(auto_cmd.ROOT).run).absolute())
    running = run_dir.running()
    if running is not None:
        return _already_running(running, models_file, opens=options.open)
    require("gateway", "flask", "gunicorn")
    require("openvino", "numpy", "orjson", "pybase64", "google.protobuf", "openvino")
    prepare_folder(models_file.parent, prepare or _fetch)
    words = ["start", "--serving", "embedded", "--models-file", str(models_file)]
    words += ["--run-dir", str(run_dir.path), *start_words]
    is_detached = "--detach" in start_words
    code = run(demo_program(program, opens=options.open and not is_detached), words)
    started = run_dir.running() if is_detached else None
    if started is not None and options.open:
        webbrowser.open(_url(started))
    return code


def parser(program: str) -> argparse.ArgumentParser:
    """Return the command line; what it does not know is passed to ``start``."""
    parser = argparse.ArgumentParser(
        prog=f"{program} demo",
        description="Fetch a small model of the 1,000 classes of ImageNet, serve it and print the "
        f"address. Takes the options of `{program} start` too, such as --port and --detach.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--open", action="store_true", help="open the web page once the model answers")
    add("--folder", type=Path, help="folder of the model (demo, beside the user's own models)")
    add("--run-dir", type=Path, help="folder for state and logs, one per instance")
    return parser


def prepare_folder(folder: Path, prepare: Prepare) -> None:
    """Write the models file, if there is none, and let ``prepare`` make the model."""
    base_path = folder / MODEL
    base_path.mkdir(parents=True, exist_ok=True)
    models_file = folder / MODELS_FILE
    if not models_file.exists():
        models_file.write_text(_MODELS_TOML, encoding="utf-8")
    prepare(base_path)


def _fetch(base_path: Path) -> Path:
    from scripts.errors import ScriptError

    prepare: Prepare = import_module("scripts.demo_model").prepare
    try:
        return prepare(base_path)
    except (ScriptError, CatalogError) as error:
        raise DemoFailed(" ".join(str(error).split())) from error


def demo_program(name: str, *, opens: bool) -> Program:
    """Return the program that starts the servers and, if wanted, opens the page."""
    program = auto_cmd.program(name)
    if not opens:
        return program

    def plan(arguments: argparse.Namespace, run_dir: RunDir) -> Plan:
        planned = program.plan(arguments, run_dir)

        def ready_lines() -> Iterator[str]:
            yield from planned.ready_lines()
            # Without waiting: a browser in the terminal would hold up the servers.
            url = planned.specs[-1].url
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        return replace(planned, ready_lines=ready_lines)

    return replace(program, plan=plan)


def _already_running(state: Mapping[str, Any], models_file: Path, *, opens: bool) -> int:
    url = _url(state)
    if not is_same_file(Path(state.get("models_file", "")), models_file):
        raise DemoFailed(
            f"Servers with other models run at {url}; stop them first, or give the demo other "
            "ports and a folder of its own with --run-dir."
        )
    sys.stdout.write(f"already running: {url}\n")
    if opens:
        webbrowser.open(url)
    return 0


def _url(state: Mapping[str, Any]) -> str:
    return str(state["children"]["gateway"]["url"])
