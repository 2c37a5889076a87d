"""Describe the two children, Serving and the gateway: command lines, probes and grace times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.child import ChildSpec, Probe
from orchestrator.probe import BackgroundProbe, any_status, first, missing_200, status_200
from orchestrator.resolved_options import ResolvedOptions, bracketed
from orchestrator.serving_command import ServingCommand

#: Added to the deadline, so that the gateway can answer its last requests before it is killed.
_EXTRA_GRACE_S = 10
#: A busy server may answer late; the timeout equals ``RestartPolicy.hang_timeout_s``.
_PROBE_TIMEOUT_S = 30


def serving_child(
    options: ResolvedOptions, command: ServingCommand, ready: Probe, alive_path: str
) -> ChildSpec:
    """Describe Serving; it counts as alive while ``alive_path`` gets an answer of any status."""
    alive_url = options.serving_url + alive_path
    return ChildSpec(
        name="serving",
        argv=command.argv,
        cleanup=command.cleanup,
        env=options.env,
        cwd=options.root,
        log=options.run_dir.log("serving"),
        ready=ready,
        alive=BackgroundProbe(alive_url, accept=any_status, timeout_s=_PROBE_TIMEOUT_S),
        grace_s=options.arguments.grace,
        url=options.serving_url,
    )


def gateway_child(options: ResolvedOptions, ready_paths: Callable[[], Sequence[str]]) -> ChildSpec:
    """Describe the gateway; it is ready when ``/healthz`` and all ``ready_paths`` answer 200."""
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
        ready=lambda: first(missing_200(url + path) for path in ("/healthz", *ready_paths())),
        alive=BackgroundProbe(f"{url}/healthz", accept=status_200, timeout_s=_PROBE_TIMEOUT_S),
        grace_s=max(options.arguments.grace, options.deadline_s + _EXTRA_GRACE_S),
        reloads=True,
        url=url,
    )
