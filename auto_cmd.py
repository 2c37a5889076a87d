"""Start, watch, restart and stop TensorFlow Serving and the gateway (manual: docs/auto_cmd.md).

Which models exist comes from models.toml; how processes are cared for is the orchestrator's
business.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from model_catalog.errors import CatalogError
from model_catalog.models_file import MODELS_FILE, ModelEntry, ModelsFile, load_models_file
from model_catalog.serving_config import has_version_labels, serving_config
from orchestrator import commands
from orchestrator.child import ChildSpec
from orchestrator.detach import detach
from orchestrator.errors import Misused, OrchestratorError
from orchestrator.instance import Plan
from orchestrator.probe import ask, missing_200, silent
from orchestrator.run_dir import RunDir
from orchestrator.voice import Voice

ROOT = Path(__file__).resolve().parent
NATIVE = "tensorflow_model_server"
DEADLINE_S = 10
STOP_WITHIN_S = 120.0


def main(argv: Sequence[str]) -> int:
    """Run one command; 0 done, 1 failed, 2 misused, 3 nothing is running."""
    words = list(argv) if argv and not argv[0].startswith("--") else ["start", *argv]
    options = _parser().parse_args(words)
    try:
        return _run(options, RunDir(options.run_dir.absolute()), words)
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace, run_dir: RunDir, words: Sequence[str]) -> int:
    voice = Voice()
    if options.command == "stop":
        return commands.stop(run_dir, voice, STOP_WITHIN_S)
    if options.command == "status":
        return commands.status(run_dir, voice, as_json=options.json)
    if options.detach and run_dir.running() is None:
        _plan(options, run_dir)
        again = [sys.executable, __file__, *(word for word in words if word != "--detach")]
        return detach(again, run_dir, voice)
    return commands.start(run_dir, lambda: _plan(options, run_dir), voice)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--run-dir", type=Path, default=ROOT / ".run", help="state and logs")
    parser = argparse.ArgumentParser(prog="auto_cmd.py", description=(__doc__ or "").split("\n")[0])
    verbs = parser.add_subparsers(dest="command", required=True)
    start = verbs.add_parser("start", parents=[common], help="start both; no command means this")
    start.add_argument("--detach", action="store_true", help="return once both are ready")
    start.add_argument("--host", default="127.0.0.1", help="where the gateway listens")
    start.add_argument("--port", type=int, default=5000, help="the gateway's port")
    start.add_argument("--serving-port", type=int, default=9000, help="Serving's REST port")
    start.add_argument("--grpc-port", type=int, default=8500, help="Serving's gRPC port")
    start.add_argument("--models-file", type=Path, help="which models exist (models.toml)")
    start.add_argument("--deadline", type=float, help="seconds that a request may take (10)")
    verbs.add_parser("stop", parents=[common], help="stop what start has started")
    status = verbs.add_parser("status", parents=[common], help="say what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    return parser


def _plan(options: argparse.Namespace, run_dir: RunDir) -> Plan:
    """Turn options, environment and models file into two children."""
    env = _gateway_environment(options)
    models = _models(Path(env["GATEWAY_MODELS_FILE"]))
    local = [entry for entry in models.entries if entry.serving_url is None]
    live = [entry.name for entry in local if _has_version(entry)]
    argv, chosen = _serving_argv(options)
    url = f"http://{_reachable(options.host)}:{options.port}"
    specs = [
        _serving(argv, options, run_dir, models, live, float(env["GATEWAY_DEADLINE_S"])),
        _gateway(url, options, run_dir, env, live),
    ]
    empty = (entry.name for entry in local if entry.name not in live)
    return Plan(
        specs=specs,
        ports=[
            ("127.0.0.1", options.serving_port, "--serving-port"),
            ("127.0.0.1", options.grpc_port, "--grpc-port"),
            (options.host, options.port, "--port"),
        ],
        chosen=[
            f"serving: {chosen}",
            *(f"model {name} has no version yet; the start does not wait for it" for name in empty),
        ],
        ready=[f"ready: {url} (serving: {chosen}); try next:", *_hints(url)],
        facts={"serving": chosen},
    )


def _gateway_environment(options: argparse.Namespace) -> dict[str, str]:
    """Return the caller's environment with GATEWAY_…: an option wins over it, it over a default."""
    defaults = {
        "GATEWAY_SERVING_URL": f"http://127.0.0.1:{options.serving_port}",
        "GATEWAY_MODELS_FILE": str(ROOT / MODELS_FILE),
        "GATEWAY_DEADLINE_S": str(DEADLINE_S),
    }
    given = {
        "GATEWAY_MODELS_FILE": options.models_file and str(options.models_file.absolute()),
        "GATEWAY_DEADLINE_S": options.deadline and f"{options.deadline:g}",
    }
    return defaults | dict(os.environ) | {key: value for key, value in given.items() if value}


def _models(path: Path) -> ModelsFile:
    try:
        models = load_models_file(path)
    except CatalogError as error:
        raise Misused(str(error)) from error
    missing = models.missing_folder()
    if missing:
        raise Misused(str(missing))
    return models


def _has_version(entry: ModelEntry) -> bool:
    return any(path.name.isdecimal() and path.is_dir() for path in entry.base_path.iterdir())


def _serving_argv(options: argparse.Namespace) -> tuple[list[str], str]:
    """Return the program to start and what to tell a person about it."""
    native = shutil.which(NATIVE)
    if native:
        return [native], f"native, {native}"
    return [_python(), "-m", "model_server"], f"embedded, no {NATIVE} on PATH"


def _serving(
    argv: Sequence[str],
    options: argparse.Namespace,
    run_dir: RunDir,
    models: ModelsFile,
    live: Sequence[str],
    deadline_s: float,
) -> ChildSpec:
    config = run_dir.path / "models.config"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(serving_config(models), encoding="utf-8")
    url = f"http://127.0.0.1:{options.serving_port}"
    flags = [
        f"--rest_api_port={options.serving_port}",
        f"--port={options.grpc_port}",
        f"--model_config_file={config}",
        "--file_system_poll_wait_seconds=1",
        f"--rest_api_timeout_in_ms={deadline_s * 1000:.0f}",
    ]
    if has_version_labels(models):
        flags.append("--allow_version_labels_for_unavailable_models=true")
    first = models.default.name
    return ChildSpec(
        name="serving",
        argv=[*argv, *flags],
        env=os.environ,
        cwd=ROOT,
        log=run_dir.log("serving"),
        ready=lambda: next(filter(None, (_unavailable(url, name) for name in live)), ""),
        alive=lambda: silent(f"{url}/v1/models/{first}"),
        url=url,
    )


def _unavailable(serving_url: str, name: str) -> str:
    """Return the empty string when a version of the model is AVAILABLE, else how far it is."""
    answer = ask(f"{serving_url}/v1/models/{name}")
    try:
        states = [version["state"] for version in json.loads(answer.body)["model_version_status"]]
    except (ValueError, KeyError, TypeError):
        return f"model {name}: no status yet"
    return "" if "AVAILABLE" in states else f"model {name}: {', '.join(states) or 'no version'}"


def _gateway(
    url: str,
    options: argparse.Namespace,
    run_dir: RunDir,
    env: Mapping[str, str],
    live: Sequence[str],
) -> ChildSpec:
    config = ROOT / "flask_server" / "gunicorn.conf.py"
    argv = [_python(), "-m", "gunicorn", "-c", str(config), "--bind", _bind(options)]
    needed = ["/healthz", *(f"/readyz?model={quote(name)}" for name in live)]
    return ChildSpec(
        name="gateway",
        argv=[*argv, "flask_server.app:create_app()"],
        env=env,
        cwd=ROOT,
        log=run_dir.log("gateway"),
        ready=lambda: next(filter(None, (missing_200(url + path) for path in needed)), ""),
        alive=lambda: missing_200(f"{url}/healthz"),
        reloads=True,
        url=url,
    )


def _python() -> str:
    """Return the project's own Python where it has one, else the one that runs this."""
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _bind(options: argparse.Namespace) -> str:
    return (
        f"[{options.host}]:{options.port}"
        if ":" in options.host
        else f"{options.host}:{options.port}"
    )


def _reachable(host: str) -> str:
    """Return an address that reaches a listener on ``host`` from this machine, fit for a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


def _hints(url: str) -> list[str]:
    """Return three commands to try; the first gives a true label without any download."""
    here = Path.cwd() == ROOT
    python, sample, digit, cat = (
        path if here else str(ROOT / path)
        for path in (
            ".venv/bin/python",
            "flask_server/flask_sample_request.py",
            "test_images/digit_3.png",
            "test_images/cat.jpg",
        )
    )
    there = "" if url == "http://127.0.0.1:5000" else f" --url {url}"
    return [
        f"  {python} {sample} -i {digit} --model digits{there}",
        f"  {python} {sample} -i {cat}{there}",
        f"  curl {url}/models",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
