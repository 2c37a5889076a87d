"""Gateway and model server under auto_cmd.py, and the processes that a test sends signals to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ports import port_problem
from orchestrator.processes import command_line, identity
from orchestrator.run_dir import is_same_process
from tests.attack.usage import family
from tests.load import Load
from tests.orchestrator.project_sandbox import ROOT, ProjectSandbox
from tests.resilience.form import FORM
from tests.resilience.stand import load_of
from tests.resilience.versions import Publisher

_LOOKS, _LOOK_S = 5, 0.03
#: The processes of an instance; the supervisor is auto_cmd.py.
TARGETS = ("auto_cmd", "gateway", "gateway shim", "serving", "serving shim")


@dataclass(frozen=True)
class Instance:
    """A running instance."""

    sandbox: ProjectSandbox
    temp: Path
    """The folder for temporary files of all processes."""

    def start(self) -> None:
        """Start both servers and wait until they are ready."""
        started = self.sandbox.call("start", "--detach", "--grace", "5")
        assert started.returncode == 0, (
            started.stdout + started.stderr + self.sandbox.log("serving")
        )

    def load(self) -> Load:
        """Return clients that send a small image."""
        return load_of(self.sandbox.port)

    def pids(self) -> dict[str, int]:
        """Return the PID of each target."""
        status = self.sandbox.status()
        pids = {"auto_cmd": int(status["pid"])}
        for name, child in status["children"].items():
            pids |= {name: int(child["pid"]), f"{name} shim": int(child["shim"]["pid"])}
        return pids

    def processes(self) -> list[dict[str, Any]]:
        """Return PID and identity of all targets and of what they have started."""
        members = {member for pid in self.pids().values() for member in family(pid)}
        return [{"pid": pid, "identity": identity(pid)} for pid in sorted(members)]

    def supervisor_usage(self) -> tuple[int, int]:
        """Return the descriptors and threads of auto_cmd.py, but for liveness probes: these come
        and go, so that the least of several looks counts."""
        process = Path("/proc", str(self.pids()["auto_cmd"]))
        descriptors, threads = [], []
        for _ in range(_LOOKS):
            descriptors.append(len(os.listdir(process / "fd")))
            threads.append(len(os.listdir(process / "task")))
            time.sleep(_LOOK_S)
        return min(descriptors), min(threads)

    def temporary_files(self) -> list[str]:
        """Return the names of the temporary files."""
        return sorted(path.name for path in self.temp.iterdir())

    def left(self, processes: list[dict[str, Any]]) -> list[str]:
        """Return the commands of those processes that still run."""
        return [str(command_line(each["pid"])) for each in processes if is_same_process(each)]

    def is_over(self, processes: list[dict[str, Any]]) -> bool:
        """Tell whether all processes are gone and the ports are free."""
        ports = (self.sandbox.port, self.sandbox.serving_port, self.sandbox.grpc_port)
        return not any(map(is_same_process, processes)) and not any(
            port_problem("127.0.0.1", port) for port in ports
        )


@contextmanager
def running_instance(exports: Path, folder: Path) -> Iterator[Instance]:
    """Run an instance that serves version 1 of the exports as ``toy`` until the block ends."""
    base, temp = folder / "model", folder / "temp"
    base.mkdir(parents=True)
    temp.mkdir()
    Publisher(exports, base).publish(1)
    (folder / "models.toml").write_text(f'[models.toy]\nbase_path = "{base}"\n')
    sandbox = ProjectSandbox(folder, ROOT, ("--models-file", str(folder / "models.toml")))
    sandbox.env |= {
        "HOME": str(folder),
        "TMPDIR": str(temp),
        "GATEWAY_DEADLINE_S": str(FORM.deadline_s),
        "GATEWAY_POLL_INTERVAL_S": str(FORM.poll_s),
        "GATEWAY_WORKERS": "1",
    }
    instance = Instance(sandbox, temp)
    with sandbox.torn_down():
        instance.start()
        yield instance
