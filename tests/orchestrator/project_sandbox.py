"""A copy of the project in a temporary folder: auto_cmd.py, two fake servers, one model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.run_dir import is_same_process
from tests.running import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FAKE_SERVER = Path(__file__).with_name("fake_server.py")
WRAPPER = f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} "$@"
exec {sys.executable} -E -S {FAKE_SERVER} "$@"
"""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def behave(folder: Path, **roles: str) -> None:
    """Set the behaviour of the fake servers of a folder, which may read the file at any time."""
    (folder / "behaviour.draft").write_text(json.dumps(roles))
    (folder / "behaviour.draft").replace(folder / "behaviour.json")


@dataclass
class ProjectSandbox:
    """A folder in which a test runs auto_cmd.py, with ports and an environment of its own."""

    root: Path
    project: Path | None = None
    """The folder of auto_cmd.py, where it is not ``root``."""

    options: tuple[str, ...] = ()
    """Further options for ``start`` and ``doctor``."""

    port: int = field(default_factory=free_port)
    serving_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin:/bin"})

    def build(self) -> ProjectSandbox:
        """Write the files of the project."""
        shutil.copy(ROOT / "auto_cmd.py", self.root)
        shutil.copy(ROOT / "pyproject.toml", self.root)
        for package in ("orchestrator", "model_catalog"):
            (self.root / package).symlink_to(ROOT / package)
        executable(self.root / ".venv/bin/python", WRAPPER)
        (self.root / "my_model" / "1").mkdir(parents=True)
        (self.root / "models.toml").write_text('[models.m]\nbase_path = "my_model"\n')
        return self

    def install_native(self, command: str = f"{sys.executable} -E -S {FAKE_SERVER}") -> Path:
        """Put a program named tensorflow_model_server on PATH; return its path."""
        program = self.root / "bin" / "tensorflow_model_server"
        executable(program, f'#!/bin/sh\nexec {command} "$@"\n')
        self.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
        return program

    def add_model(self, name: str, fields: str = "") -> None:
        """Append a model with version 1 to the models file."""
        (self.root / name / "1").mkdir(parents=True, exist_ok=True)
        with (self.root / "models.toml").open("a") as models:
            models.write(f'[models.{name}]\nbase_path = "{name}"\n{fields}\n')

    def behave(self, **roles: str) -> None:
        """Set the behaviour of the fake servers, by role."""
        behave(self.root, **roles)

    def argv(self, *words: str) -> list[str]:
        """Return a command line; ``start`` and ``doctor`` get the ports and options."""
        script = (self.project or self.root) / "auto_cmd.py"
        argv = [sys.executable, "-S", str(script), *words, "--run-dir", str(self.root / ".run")]
        if words and words[0] not in {"start", "doctor"}:
            return argv
        argv += ["--port", str(self.port), "--serving-port", str(self.serving_port)]
        return [*argv, "--grpc-port", str(self.grpc_port), *self.options]

    def call(self, *words: str, cwd: str | Path = "/") -> subprocess.CompletedProcess[str]:
        """Run a command and wait for its end."""
        return subprocess.run(
            self.argv(*words),
            check=False,
            cwd=cwd,
            env=self.env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=200,
        )

    def failed_start(self, reason: str, timeout_s: int) -> subprocess.CompletedProcess[str]:
        """Start servers that never become ready; longer if they were too slow to tell why."""
        for each_s in (timeout_s, 4 * timeout_s, 16 * timeout_s):
            failed = self.call("start", "--detach", "--start-timeout", str(each_s))
            if reason in failed.stdout:
                break
        return failed

    def foreground(
        self, *words: str, cwd: str | Path = "/", stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start a command without waiting; its output goes to ``output.txt``."""
        with (self.root / "output.txt").open("w") as output:
            return subprocess.Popen(
                self.argv(*words),
                cwd=cwd,
                env=self.env,
                text=True,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What the foreground command has printed so far."""
        return (self.root / "output.txt").read_text()

    def log(self, name: str) -> str:
        """Return the text of a log."""
        return (self.root / ".run" / "logs" / f"{name}.log").read_text()

    def status(self) -> Mapping[str, Any]:
        """Return what ``status --json`` says."""
        document: Mapping[str, Any] = json.loads(self.call("status", "--json").stdout)
        return document

    def pid(self, child: str) -> int:
        """Return the PID of a child."""
        return int(self.status()["children"][child]["pid"])

    def kill(self, child: str) -> None:
        """Send KILL to a child."""
        os.kill(self.pid(child), signal.SIGKILL)

    def is_ready(self) -> bool:
        """Tell whether all children are ready, from the state file."""
        state = self.root / ".run" / "auto_cmd.json"
        try:
            return bool(json.loads(state.read_text())["ready"])
        except (OSError, ValueError):
            return False

    def await_ready(self) -> None:
        """Wait until the instance is ready."""
        assert eventually(self.is_ready)

    @contextmanager
    def torn_down(self) -> Iterator[ProjectSandbox]:
        """Leave nothing running at the end of the block, however that ends."""
        try:
            yield self
        finally:
            self.tear_down()

    def tear_down(self) -> None:
        """Stop whatever a test has left running, and wait until its processes are gone."""
        state = self.root / ".run" / "auto_cmd.json"
        if not state.exists():
            return
        document = json.loads(state.read_text())
        records = [document]
        for child in document["children"].values():
            records += [child, child["shim"]]
        self.call("stop")
        if eventually(lambda: not any(map(is_same_process, records))):
            return
        for record in filter(is_same_process, records):
            with suppress(ProcessLookupError):
                os.kill(record["pid"], signal.SIGKILL)
        raise AssertionError("processes outlived the stop")
