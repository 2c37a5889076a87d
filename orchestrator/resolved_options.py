"""Combine command line, environment and defaults into one set of options for both servers.

An option takes precedence over the environment, and the environment over a default. The addresses
and limits that result are passed to both servers, so that neither relies on the other's defaults.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from orchestrator.cpus import usable_cpus
from orchestrator.errors import UsageError
from orchestrator.notify import VARIABLE as NOTIFY
from orchestrator.number_arguments import deadline, seconds_text
from orchestrator.ports import conflict
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import resolve_kind
from orchestrator.start_options import DEADLINE_S, LOCAL

ENGINE_OPTIONS = ("engine", "precision", "streams")
MAX_CALLS = "GATEWAY_MAX_INFLIGHT_CALLS"
SERVING_URL = "GATEWAY_SERVING_URL"
KEYS_FILE = "GATEWAY_API_KEYS_FILE"
OLD_MAX_CALLS = "GATEWAY_CALLS_UNDER_WAY"


@dataclass(frozen=True, kw_only=True)
class ResolvedOptions:
    """Everything about a run that options and environment decide."""

    arguments: argparse.Namespace
    """The command line, with the options of ``start_options``."""

    run_dir: RunDir

    root: Path
    """The folder of the code: a checkout, or ``site-packages``."""

    env: Mapping[str, str]
    """The environment of both children."""

    kind: str
    """The kind of Serving, one of ``serving_command.KINDS``."""

    deadline_s: float
    """Longest time of a request."""

    threads: int
    """Threads of a model run."""

    @property
    def models_file(self) -> Path:
        """The models file."""
        return Path(self.env["GATEWAY_MODELS_FILE"])

    @property
    def gateway_url(self) -> str:
        """Root URL of the gateway, as seen from this machine."""
        everywhere = {"0.0.0.0": LOCAL, "::": "::1"}  # noqa: S104 - looked up, not bound
        host = everywhere.get(self.arguments.host, self.arguments.host)
        return f"http://{bracketed(host)}:{self.arguments.port}"

    @property
    def serving_url(self) -> str:
        """Root URL of Serving."""
        return self.arguments.serving_url or f"http://{LOCAL}:{self.arguments.serving_port}"

    @property
    def engine_flags(self) -> list[str]:
        """Flags of the embedded Serving for those of ``ENGINE_OPTIONS`` that were given."""
        return [
            f"--{name}={value}"
            for name in ENGINE_OPTIONS
            if (value := getattr(self.arguments, name)) is not None
        ]

    @property
    def ports(self) -> list[tuple[str, int, str]]:
        """Host, port and command-line option of every port that a child will listen on."""
        host = "0.0.0.0" if self.kind == "native" else LOCAL  # noqa: S104 - it always listens there
        rest = (host, self.arguments.serving_port, "--serving-port")
        grpc = (host, self.arguments.grpc_port, "--grpc-port")
        serving = [] if self.kind == "none" else [rest, grpc]
        return [*serving, (self.arguments.host, self.arguments.port, "--port")]

    @property
    def python(self) -> str:
        """The Python of the project's ``.venv``, or the running one where there is no ``.venv``."""
        own = self.root / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable


def resolve(
    arguments: argparse.Namespace, run_dir: RunDir, root: Path, models_file: Path | None = None
) -> ResolvedOptions:
    """Combine options, environment and defaults; raise UsageError where they contradict.

    ``models_file`` is the one to use by default, ``models.toml`` in the root if not given.
    """
    _refuse_other_addresses(arguments)
    env = _environment(arguments, root, models_file or root / "models.toml")
    if "@" in env[SERVING_URL]:
        # It may be a password, so it is not repeated; the gateway refuses it as well.
        name = "--serving-url" if arguments.serving_url else SERVING_URL
        raise UsageError(f"{name}: an address with a user name or password is not allowed.")
    options = ResolvedOptions(
        arguments=arguments,
        run_dir=run_dir,
        root=root,
        env=env,
        kind=resolve_kind(arguments.serving),
        deadline_s=_deadline_s(env["GATEWAY_DEADLINE_S"]),
        threads=arguments.serving_threads or usable_cpus(),
    )
    _refuse_engine_flags(options)
    _refuse_equal_ports(options)
    return options


def _refuse_other_addresses(arguments: argparse.Namespace) -> None:
    """Refuse what is not the address of one REST API, and one that no option asks for."""
    if (arguments.serving == "none") != (arguments.serving_url is not None):
        raise UsageError(
            "--serving none and --serving-url http://HOST:PORT must be given together."
        )
    url = arguments.serving_url or ""
    if url.startswith(("grpc:", "grpcs:")):
        raise UsageError(
            "--serving-url is the address of the REST API, which auto_cmd asks for the models; the"
            " gateway alone can use gRPC (serving_url in the models file)."
        )
    if "," in url:
        raise UsageError(
            "--serving-url is one address, which auto_cmd asks for the models; the gateway alone"
            " can use several (serving_url in the models file)."
        )


def _refuse_engine_flags(options: ResolvedOptions) -> None:
    if options.engine_flags and options.kind != "embedded":
        flags = " and ".join(options.engine_flags)
        raise UsageError(
            f"{flags}: only the embedded Serving takes this, and --serving is {options.kind}."
        )


def _refuse_equal_ports(options: ResolvedOptions) -> None:
    for (host, number, option), (other_host, other, other_option) in combinations(options.ports, 2):
        if conflict((host, number), (other_host, other)):
            raise UsageError(
                f"{option} and {other_option} are both {number}; choose two different ports."
            )


def _environment(arguments: argparse.Namespace, root: Path, models_file: Path) -> dict[str, str]:
    given = {
        SERVING_URL: arguments.serving_url,
        "GATEWAY_MODELS_FILE": arguments.models_file and str(arguments.models_file),
        "GATEWAY_DEADLINE_S": arguments.deadline and seconds_text(arguments.deadline),
        "GATEWAY_WORKERS": arguments.gateway_workers and str(arguments.gateway_workers),
    }
    defaults = {
        SERVING_URL: f"http://{LOCAL}:{arguments.serving_port}",
        "GATEWAY_MODELS_FILE": str(models_file),
        "GATEWAY_DEADLINE_S": str(DEADLINE_S),
        "GATEWAY_WORKERS": str(max(1, usable_cpus() // 2)),
        MAX_CALLS: str((arguments.streams or 1) + 1),
        # The faster resizing changes the scores less than the lower precision does.
        "GATEWAY_FAST_RESIZE": "false" if arguments.precision in {None, "f32"} else "auto",
    }
    if OLD_MAX_CALLS in os.environ:  # the gateway refuses both names at once
        del defaults[MAX_CALLS]
    env = defaults | dict(os.environ) | {name: value for name, value in given.items() if value}
    # Relative to the caller's folder, while the children run in the folder of the code.
    env["GATEWAY_MODELS_FILE"] = str(Path(env["GATEWAY_MODELS_FILE"]).absolute())
    if models_file.parent != root and env.get(KEYS_FILE):
        env[KEYS_FILE] = str(Path(env[KEYS_FILE]).absolute())
    env.pop(NOTIFY, None)  # only auto_cmd reports readiness to systemd
    return env


def _deadline_s(text: str) -> float:
    try:
        return deadline(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"GATEWAY_DEADLINE_S: {error}.") from error


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
