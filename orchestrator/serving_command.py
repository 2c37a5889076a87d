"""Choose the kind of Serving and return its command line; nothing is started here.

All kinds take the same flags. They differ in the program and in the paths of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import genuine_server
from orchestrator.errors import UsageError
from orchestrator.genuine_server import NATIVE

IMAGE = "tensorflow/serving:latest"
KINDS = ("native", "embedded", "docker", "none")
#: Kinds of Serving that are TensorFlow's own program.
GENUINE = {"native", "docker"}
CONFIG = "models.config"
BATCHING_CONFIG = "batching.config"
MONITORING_CONFIG = "monitoring.config"
OPENVINO_CACHE = "openvino"
BATCHING = """\
max_batch_size {{ value: 32 }}
batch_timeout_micros {{ value: 5000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: {threads} }}
"""
#: The path is TensorFlow Serving's default; without such a file it answers no metrics.
MONITORING = """\
prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""
_LISTENS_EVERYWHERE = (
    "it listens on all addresses of this machine, so keep its ports behind a firewall"
)
_CONTAINER_FOLDER = Path("/config")
_CONTAINER_REST_PORT = 8501
_CONTAINER_GRPC_PORT = 8500

Which = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """The options that configure Serving, whatever its kind."""

    rest_port: int
    grpc_port: int
    timeout_s: float
    threads: int
    folder: Path
    """Folder of models.config, monitoring.config and, with ``batching``, of batching.config."""

    python: str
    """Python interpreter of the embedded server."""

    volumes: Mapping[Path, str] = field(default_factory=dict)
    """Model folders and their paths inside a container."""

    batching: bool = False
    """Whether Serving merges requests into batches."""

    engine_flags: Sequence[str] = ()
    """Flags of the embedded server for engine, precision and streams."""


@dataclass(frozen=True)
class ServingCommand:
    """How to start Serving; ``argv`` is empty when none is started."""

    description: str
    """Text for the user that names the chosen kind of Serving."""

    argv: Sequence[str] = ()
    cleanup: Sequence[str] = ()
    """Command to run after Serving has ended."""

    warnings: Sequence[str] = ()
    """Warnings about this kind of Serving, printed at the start."""


def resolve_kind(kind: str, which: Which = genuine_server.which) -> str:
    """Replace ``auto`` by a kind; raise UsageError if the machine lacks the program of the kind."""
    if kind == "auto":
        return "native" if which(NATIVE) else "embedded"
    program = {"native": NATIVE, "docker": "docker"}.get(kind)
    if program and which(program) is None:
        raise UsageError(f"--serving {kind} needs {program} on PATH, and it is not there.")
    return kind


def serving_command(
    kind: str, options: ServingOptions, which: Which = genuine_server.which
) -> ServingCommand:
    """Return the command line of ``native``, ``embedded`` or ``docker`` Serving."""
    program = which(NATIVE)
    if kind == "native":
        argv = [str(program), *_flags(options)]
        return ServingCommand(
            f"native, {program}", argv, warnings=[f"warning: {NATIVE}: {_LISTENS_EVERYWHERE}"]
        )
    if kind == "embedded":
        argv = [options.python, "-m", "model_server", *_flags(options), *options.engine_flags]
        argv.append(f"--openvino_cache_dir={options.folder / OPENVINO_CACHE}")
        # Only the gateway calls it, whatever TENSORFLOW_MODEL_SERVER_HOST says.
        argv += ["--rest_api_host=127.0.0.1", "--grpc_host=127.0.0.1"]
        # The lack of any version does not keep it from answering, nor does a broken model beside
        # another one.
        argv.append("--allow_unavailable_models=true")
        reason = "" if program else f", as no {NATIVE} is on PATH"
        return ServingCommand(
            f"embedded{reason}", [*argv, f"--shutdown_grace_seconds={options.timeout_s:g}"]
        )
    return _docker(options, str(which("docker")))


def _docker(options: ServingOptions, docker: str) -> ServingCommand:
    name = f"auto_cmd-serving-{options.rest_port}"
    # --init: process 1 of a container ignores TERM unless it handles it, which the server does not.
    argv = [docker, "run", "--rm", "--init", "--name", name, "--entrypoint", NATIVE]
    argv += ["--publish", f"127.0.0.1:{options.rest_port}:{_CONTAINER_REST_PORT}"]
    argv += ["--publish", f"127.0.0.1:{options.grpc_port}:{_CONTAINER_GRPC_PORT}"]
    for path, mounted in {options.folder: str(_CONTAINER_FOLDER), **options.volumes}.items():
        argv += ["--volume", f"{path}:{mounted}:ro"]
    flags = _flags(
        options,
        folder=_CONTAINER_FOLDER,
        rest_port=_CONTAINER_REST_PORT,
        grpc_port=_CONTAINER_GRPC_PORT,
    )
    cleanup = [docker, "rm", "--force", name]
    return ServingCommand(f"docker, {IMAGE}", [*argv, IMAGE, *flags], cleanup)


def _flags(
    options: ServingOptions,
    *,
    folder: Path | None = None,
    rest_port: int | None = None,
    grpc_port: int | None = None,
) -> list[str]:
    folder = folder or options.folder
    flags = [
        f"--rest_api_port={rest_port or options.rest_port}",
        f"--port={grpc_port or options.grpc_port}",
        f"--model_config_file={folder / CONFIG}",
        # models.config changes when a model gets its first version, and with each restart.
        "--model_config_file_poll_wait_seconds=2",
        "--allow_version_labels_for_unavailable_models=true",
        "--file_system_poll_wait_seconds=1",
        f"--rest_api_timeout_in_ms={options.timeout_s * 1000:.0f}",
        f"--monitoring_config_file={folder / MONITORING_CONFIG}",
        # 5 s, not the default minute: tensorflow_model_server loads nothing else meanwhile.
        "--load_retry_interval_micros=5000000",
        f"--tensorflow_intra_op_parallelism={options.threads}",
        f"--tensorflow_inter_op_parallelism={options.threads}",
    ]
    if options.batching:
        flags.append("--enable_batching=true")
        flags.append(f"--batching_parameters_file={folder / BATCHING_CONFIG}")
    return flags
