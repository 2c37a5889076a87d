"""Describe the two children, Serving and the gateway: command lines, probes and grace times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.child import ChildSpec, Probe
from orchestrator.probe import BackgroundProbe, any_status, missing_200, status_200
from orchestrator.problem import Problem
from orchestrator.resolved_options import ResolvedOptions, bracketed
from orchestrator.serving_command import ServingCommand

#: Added to the deadline, so that the gateway can answer its last requests before it is killed.
_EXTRA_GRACE_S = 10
#: A busy server may answer late; the timeout equals ``RestartPolicy.hang_timeout_s``.
_PROBE_TIMEOUT_S = 30

#: Any response will do; a server without this model answers 404.
STATUS_PATH = "/v1/models/-"


class ModelFiles(Protocol):
    """What the children need to know about the files that name the models."""

    def prepare_serving(self) -> None:
        """Write the files that Serving reads when it starts."""

    def refuse(self) -> Problem | None:
        """Return what is wrong with the models file; None when it can be used."""


def serving_child(
    options: ResolvedOptions, command: ServingCommand, models: ModelFiles, ready: Probe
) -> ChildSpec:
    """Describe Serving; it counts as alive while requests for a model's status get any response."""
    alive_url = options.serving_url + STATUS_PATH
    return ChildSpec(
        name="serving",
        argv=command.argv,
        cleanup=command.cleanup,
        env=options.env,
        cwd=options.root,
        log=options.run_dir.log("serving"),
        ready=ready,
        alive=BackgroundProbe(alive_url, accept=any_status, timeout_s=_PROBE_TIMEOUT_S),
        prepare=models.prepare_serving,
        refuse=models.refuse,
        grace_s=options.arguments.grace,
        url=options.serving_url,
    )


def gateway_child(
    options: ResolvedOptions, ready: Probe, prepare: Callable[[], None] = lambda: None
) -> ChildSpec:
    """Describe the gateway; it is ready when ``/healthz`` answers 200 and ``ready`` is well."""
    config = options.root / "flask_server" / "gunicorn.conf.py"
    bind = f"{bracketed(options.arguments.host)}:{options.arguments.port}"
    argv = [options.python, "-m", "gunicorn", "-c", str(config), "--bind", bind]
    app = "flask_server.app:create_app()"
    url = options.gateway_url
    return ChildSpec(
        name="gateway",
        argv=[*argv, app],
        check=[*argv, "--check-config", app],
        env=options.env,
        cwd=options.root,
        log=options.run_dir.log("gateway"),
        ready=lambda: missing_200(f"{url}/healthz") or ready(),
        alive=BackgroundProbe(f"{url}/healthz", accept=status_200, timeout_s=_PROBE_TIMEOUT_S),
        prepare=prepare,
        grace_s=max(options.arguments.grace, options.deadline_s + _EXTRA_GRACE_S),
        reloads=True,
        url=url,
    )
