"""Choose a TensorFlow Serving and write its command line. Starts nothing and knows no model.

Every kind takes the same flags; they differ in the program, in where it finds its files, and in
what the genuine server needs so that it does not stand still for minutes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import Misused

NATIVE = "tensorflow_model_server"
IMAGE = "tensorflow/serving:latest"
KINDS = ("native", "embedded", "docker", "none")
CONFIG = "models.config"
BATCHING_CONFIG = "batching.config"
COMPILED = "openvino"
BATCHING = """\
max_batch_size {{ value: 32 }}
batch_timeout_micros {{ value: 5000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: {threads} }}
"""
_OPEN = "it listens on all addresses of this machine, so keep its ports behind a firewall"
_INSIDE = Path("/config")
_REST_INSIDE = 8501
_GRPC_INSIDE = 8500

Which = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What Serving is to do, whichever it is."""

    rest_port: int
    grpc_port: int
    timeout_s: float
    threads: int
    folder: Path
    """Where models.config lies, and batching.config when batching is wanted."""

    python: str
    """The interpreter of the embedded server."""

    volumes: Mapping[Path, str] = field(default_factory=dict)
    """Folders that a container must see, and under which path."""

    batching: bool = False
    labels: bool = False
    """Whether versions have labels."""

    computing: Sequence[str] = ()
    """Flags about how the embedded server computes."""


@dataclass(frozen=True)
class ServingCommand:
    """How to start Serving, and what to tell a person about it."""

    said: str
    argv: Sequence[str] = ()
    after: Sequence[str] = ()
    warnings: Sequence[str] = ()


def settle_kind(kind: str, which: Which = shutil.which) -> str:
    """Turn ``auto`` into what this machine has; refuse what it does not have."""
    if kind == "auto":
        return "native" if which(NATIVE) else "embedded"
    program = {"native": NATIVE, "docker": "docker"}.get(kind)
    if program and which(program) is None:
        raise Misused(f"--serving {kind} needs {program} on PATH, where there is none.")
    return kind


def serving_command(kind: str, wish: Wish, which: Which = shutil.which) -> ServingCommand:
    """Return the command line of a settled kind of Serving."""
    program = which(NATIVE)
    if kind == "native":
        argv = [str(program), *_flags(wish), *_genuine_flags()]
        return ServingCommand(f"native, {program}", argv, warnings=[f"warning: {NATIVE}: {_OPEN}"])
    if kind == "embedded":
        argv = [wish.python, "-m", "model_server", *_flags(wish), *wish.computing]
        argv.append(f"--openvino_cache_dir={wish.folder / COMPILED}")
        why = "" if program else f", as no {NATIVE} is on PATH"
        return ServingCommand(
            f"embedded{why}", [*argv, f"--shutdown_grace_seconds={wish.timeout_s:g}"]
        )
    return _docker(wish, str(which("docker")))


def _docker(wish: Wish, docker: str) -> ServingCommand:
    name = f"auto_cmd-serving-{wish.rest_port}"
    # --init: as process 1 of its container the server would not hear TERM.
    argv = [docker, "run", "--rm", "--init", "--name", name, "--entrypoint", NATIVE]
    argv += ["--publish", f"127.0.0.1:{wish.rest_port}:{_REST_INSIDE}"]
    argv += ["--publish", f"127.0.0.1:{wish.grpc_port}:{_GRPC_INSIDE}"]
    for outside, inside in {wish.folder: str(_INSIDE), **wish.volumes}.items():
        argv += ["--volume", f"{outside}:{inside}:ro"]
    flags = _flags(wish, folder=_INSIDE, rest_port=_REST_INSIDE, grpc_port=_GRPC_INSIDE)
    after = [docker, "rm", "--force", name]
    return ServingCommand(f"docker, {IMAGE}", [*argv, IMAGE, *flags, *_genuine_flags()], after)


def _flags(
    wish: Wish,
    *,
    folder: Path | None = None,
    rest_port: int | None = None,
    grpc_port: int | None = None,
) -> list[str]:
    folder = folder or wish.folder
    flags = [
        f"--rest_api_port={rest_port or wish.rest_port}",
        f"--port={grpc_port or wish.grpc_port}",
        f"--model_config_file={folder / CONFIG}",
        "--file_system_poll_wait_seconds=1",
        f"--rest_api_timeout_in_ms={wish.timeout_s * 1000:.0f}",
        # Not a minute: the genuine server loads nothing else while it retries a broken version.
        "--load_retry_interval_micros=5000000",
        f"--tensorflow_intra_op_parallelism={wish.threads}",
        f"--tensorflow_inter_op_parallelism={wish.threads}",
    ]
    if wish.labels:
        flags.append("--allow_version_labels_for_unavailable_models=true")
    if wish.batching:
        flags.append("--enable_batching=true")
        flags.append(f"--batching_parameters_file={folder / BATCHING_CONFIG}")
    return flags


def _genuine_flags() -> list[str]:
    # A model that gets its first version later joins by a new config.
    return ["--model_config_file_poll_wait_seconds=2"]
