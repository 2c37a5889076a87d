"""Settle where the two children live: options and environment in, addresses and limits out.

Who starts a process owns its address: no child guesses the other's default. An option wins over the
environment, the environment over a default.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from orchestrator.child import ChildSpec, Probe
from orchestrator.cpus import usable_cpus
from orchestrator.errors import Misused
from orchestrator.notify import VARIABLE as NOTIFY
from orchestrator.numbers import port, seconds, whole
from orchestrator.ports import same
from orchestrator.probe import Patient, at_all, first, missing_200, ok
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import KINDS, ServingCommand, settle_kind

LOCAL = "127.0.0.1"
DEADLINE_S = 10
ENGINES = ("auto", "tensorflow", "openvino")
PRECISIONS = ("f32", "bf16", "auto")
COMPUTING = ("engine", "precision", "streams")
MAX_CALLS = "GATEWAY_MAX_INFLIGHT_CALLS"
OLD_MAX_CALLS = "GATEWAY_CALLS_UNDER_WAY"
_SPARE_S = 10
_SILENCE_S = 30


def start_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to start and where."""
    add = parser.add_argument
    add("--host", default=LOCAL, help="where the gateway listens (%(default)s)")
    add("--port", type=port, default=5000, help="the gateway's port (%(default)s)")
    add("--serving", choices=["auto", *KINDS], default="auto", help="which Serving (%(default)s)")
    add("--serving-url", help="its address, with --serving none")
    add("--serving-port", type=port, default=9000, help="Serving's REST port (%(default)s)")
    add("--grpc-port", type=port, default=8500, help="Serving's gRPC port (%(default)s)")
    add("--models-file", type=Path, help="which models exist (models.toml beside auto_cmd.py)")
    add("--deadline", type=seconds, help=f"seconds that a request may take ({DEADLINE_S})")
    add("--engine", choices=ENGINES, help="what computes in the embedded Serving (auto)")
    add("--precision", choices=PRECISIONS, help="how exactly it computes (f32)")
    add("--streams", type=whole(1), help="runs that it computes side by side (1)")
    add("--batching", action="store_true", help="merge requests in Serving; see the manual")
    add("--serving-threads", type=whole(1), help="threads of a model run (the usable processors)")
    add("--gateway-workers", type=whole(1), help="processes of the gateway (half the processors)")
    add("--grace", type=seconds, default=30, help="seconds between TERM and KILL (%(default)s)")
    add("--start-timeout", type=seconds, default=300, help="seconds to get ready (%(default)s)")


@dataclass(frozen=True, kw_only=True)
class Site:
    """What options and environment have settled."""

    options: argparse.Namespace
    run_dir: RunDir
    root: Path
    env: Mapping[str, str]
    """The environment of both children."""

    kind: str
    """Which Serving."""

    deadline_s: float
    """How long a request may take."""

    threads: int
    """How many threads a model run has."""

    @property
    def models_file(self) -> Path:
        """Which file says what is served."""
        return Path(self.env["GATEWAY_MODELS_FILE"])

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers, seen from this machine."""
        everywhere = {"0.0.0.0": LOCAL, "::": "::1"}  # noqa: S104 - looked up, not bound
        host = everywhere.get(self.options.host, self.options.host)
        return f"http://{_bracketed(host)}:{self.options.port}"

    @property
    def serving_url(self) -> str:
        """Where the Serving of this run answers."""
        return self.options.serving_url or f"http://{LOCAL}:{self.options.serving_port}"

    @property
    def computing(self) -> list[str]:
        """Flags about how the embedded Serving computes."""
        return [
            f"--{name}={value}"
            for name in COMPUTING
            if (value := getattr(self.options, name)) is not None
        ]

    @property
    def ports(self) -> list[tuple[str, int, str]]:
        """Host, port and option of everything that will listen."""
        host = "0.0.0.0" if self.kind == "native" else LOCAL  # noqa: S104 - the server's own choice
        rest = (host, self.options.serving_port, "--serving-port")
        grpc = (host, self.options.grpc_port, "--grpc-port")
        serving = {"none": [], "embedded": [rest]}.get(self.kind, [rest, grpc])
        return [*serving, (self.options.host, self.options.port, "--port")]

    @property
    def python(self) -> str:
        """The project's own Python where it has one, else the one that runs this."""
        own = self.root / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable


def settle(options: argparse.Namespace, run_dir: RunDir, root: Path) -> Site:
    """Put options, environment and defaults together, or say what does not fit."""
    if (options.serving == "none") != (options.serving_url is not None):
        raise Misused("--serving none and --serving-url http://HOST:PORT belong together.")
    env = _environment(options, root)
    site = Site(
        options=options,
        run_dir=run_dir,
        root=root,
        env=env,
        kind=settle_kind(options.serving),
        deadline_s=_deadline_s(env["GATEWAY_DEADLINE_S"]),
        threads=options.serving_threads or usable_cpus(),
    )
    if site.computing and site.kind != "embedded":
        flags = " and ".join(site.computing)
        raise Misused(f"{flags}: only the embedded Serving has it; this one is {site.kind}.")
    _refuse_equal_ports(site)
    return site


def _refuse_equal_ports(site: Site) -> None:
    for (host, number, option), (other_host, other, other_option) in combinations(site.ports, 2):
        if same((host, number), (other_host, other)):
            raise Misused(f"{option} and {other_option} are both {number}; give them two ports.")


def _environment(options: argparse.Namespace, root: Path) -> dict[str, str]:
    given = {
        "GATEWAY_SERVING_URL": options.serving_url,
        "GATEWAY_MODELS_FILE": options.models_file and str(options.models_file),
        "GATEWAY_DEADLINE_S": options.deadline and f"{options.deadline:g}",
        "GATEWAY_WORKERS": options.gateway_workers and str(options.gateway_workers),
    }
    defaults = {
        "GATEWAY_SERVING_URL": f"http://{LOCAL}:{options.serving_port}",
        "GATEWAY_MODELS_FILE": str(root / "models.toml"),
        "GATEWAY_DEADLINE_S": str(DEADLINE_S),
        "GATEWAY_WORKERS": str(max(1, usable_cpus() // 2)),
        MAX_CALLS: str((options.streams or 1) + 1),
        # Who gives up digits of the scores for speed does not ask for the last bit of a pixel.
        "GATEWAY_FAST_RESIZE": "auto" if options.precision in {"bf16", "auto"} else "false",
    }
    if OLD_MAX_CALLS in os.environ:  # the gateway refuses both names at once
        del defaults[MAX_CALLS]
    env = defaults | dict(os.environ) | {name: value for name, value in given.items() if value}
    # The children run in the project's root, whatever directory the caller is in.
    env["GATEWAY_MODELS_FILE"] = str(Path(env["GATEWAY_MODELS_FILE"]).absolute())
    env.pop(NOTIFY, None)  # systemd is told by auto_cmd alone
    return env


def _deadline_s(text: str) -> float:
    try:
        return seconds(text)
    except argparse.ArgumentTypeError as error:
        raise Misused(f"GATEWAY_DEADLINE_S: {error}.") from error


def serving_child(site: Site, command: ServingCommand, ready: Probe, alive_path: str) -> ChildSpec:
    """Describe Serving as a child; ``alive_path`` answers as long as it is not hung."""
    return ChildSpec(
        name="serving",
        argv=command.argv,
        after=command.after,
        env=site.env,
        cwd=site.root,
        log=site.run_dir.log("serving"),
        ready=ready,
        alive=Patient(site.serving_url + alive_path, accept=at_all, timeout_s=_SILENCE_S),
        grace_s=site.options.grace,
        url=site.serving_url,
    )


def gateway_child(site: Site, ready_paths: Callable[[], Sequence[str]]) -> ChildSpec:
    """Describe the gateway as a child; it is ready when all paths answer 200."""
    config = site.root / "flask_server" / "gunicorn.conf.py"
    bind = f"{_bracketed(site.options.host)}:{site.options.port}"
    argv = [site.python, "-m", "gunicorn", "-c", str(config), "--bind", bind]
    app = "flask_server.app:create_app()"
    url = site.gateway_url
    return ChildSpec(
        name="gateway",
        argv=[*argv, app],
        check=[*argv, "--check-config", app],
        env=site.env,
        cwd=site.root,
        log=site.run_dir.log("gateway"),
        ready=lambda: first(missing_200(url + path) for path in ("/healthz", *ready_paths())),
        alive=Patient(f"{url}/healthz", accept=ok, timeout_s=_SILENCE_S),
        grace_s=max(site.options.grace, site.deadline_s + _SPARE_S),
        reloads=True,
        url=url,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
