"""A terminal on a machine of its own: commands of the manuals run in it as they are written.

Linux namespaces give it all ports, so that two test processes can both use port 5000, no network,
and its own processes, which end with it.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

_NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork")
_ALONE = (*_NAMESPACES, "--kill-child", "--mount-proc")
#: Switches the loopback interface on, and becomes the shell.
_START = """
import fcntl, os, signal, socket, struct
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a parent in the background ignores it
UP, SET_FLAGS = 0x1 | 0x40, 0x8914
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))
os.execvp("bash", ["bash", "--norc", "--noprofile"])
"""
TIMEOUT_S = 120


def why_not() -> str:
    """Return why there can be no such terminal here, empty where there can be one."""
    if shutil.which("unshare") is None or shutil.which("curl") is None:
        return "unshare or curl is not installed"
    tried = subprocess.run([*_ALONE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    return tried.stderr.strip() or f"unshare ends with {tried.returncode}"


class CommandFailed(AssertionError):
    """A command has not done what the manual says."""


@dataclass(frozen=True)
class Job:
    """A command that runs in the background."""

    text: str
    pid: str
    file: Path

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.file.read_text(encoding="utf-8")


class Terminal:
    """A shell whose commands are typed one after the other."""

    def __init__(self, shell: subprocess.Popen[str], folder: Path) -> None:
        self._shell = shell
        self._folder = folder
        self._count = 0
        self.limit_s: float = TIMEOUT_S
        """Time that a command may take, and a server to get ready or to end."""

    def run(self, text: str, status: int = 0) -> str:
        """Run a command to its end and return what it has printed.

        Raises CommandFailed if it ends with another status, or takes long.
        """
        script, output = self._files(text)
        ended = self._type(f". {script} </dev/null >{output} 2>&1; echo $?", text, output)
        printed = output.read_text(encoding="utf-8")
        if ended != str(status):
            raise CommandFailed(f"{text}\nends with {ended}:\n{printed[-3000:]}")
        return printed

    def start(self, text: str) -> Job:
        """Start a command in the background, as in another tab."""
        script, output = self._files(text)
        line = f"(. {script}) </dev/null >{output} 2>&1 & echo $!"
        return Job(text, self._type(line, text, output), output)

    def wait_until(self, job: Job, condition: str) -> None:
        """Return when a shell condition holds, in which ``$OUTPUT`` is the output of the job.

        Raises CommandFailed if the job ends before, or it takes long.
        """
        end = time.monotonic() + self.limit_s
        condition = condition.replace("$OUTPUT", str(job.file))
        while self._ask(job, f"({condition}) >/dev/null 2>&1; echo $?") != "0":
            if not self._runs(job) or time.monotonic() > end:
                raise CommandFailed(f"{job.text}\ndoes not get ready:\n{job.output[-3000:]}")
            time.sleep(0.05)

    def interrupt(self, job: Job) -> None:
        """Press Ctrl-C, and wait until the job has ended.

        Raises CommandFailed if that takes long.
        """
        self._ask(job, f"kill -INT -- -{job.pid}; wait {job.pid}; echo")

    def _runs(self, job: Job) -> bool:
        return self._ask(job, f"kill -0 {job.pid} 2>/dev/null; echo $?") == "0"

    def _ask(self, job: Job, line: str) -> str:
        return self._type(line, job.text, job.file)

    def _files(self, text: str) -> tuple[Path, Path]:
        self._count += 1
        script = self._folder / f"{self._count}.sh"
        script.write_text(f"{text}\n", encoding="utf-8")
        output = script.with_suffix(".txt")
        output.touch()
        return script, output

    def _type(self, line: str, text: str, output: Path) -> str:
        """Give the shell a line for a command, and return the one line that it answers.

        Raises CommandFailed after the time limit, and closes the terminal.
        """
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()
        if not select.select([self._shell.stdout], [], [], self.limit_s)[0]:
            self._shell.kill()
            printed = output.read_text(encoding="utf-8")
            raise CommandFailed(f"{text}\ntakes over {self.limit_s:g} s:\n{printed[-3000:]}")
        return self._shell.stdout.readline().strip()


@contextmanager
def terminal(python: str, cwd: Path, folder: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Open a terminal in a folder; another one takes its files."""
    with subprocess.Popen(
        [*_ALONE, python, "-c", _START],
        cwd=cwd,
        env=env,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        text=True,
    ) as shell:
        try:
            opened = Terminal(shell, folder)
            # Each job gets a process group, as in a terminal, so that Ctrl-C reaches it alone.
            opened.run("set -m")
            yield opened
        finally:
            shell.kill()


def ready_when(text: str) -> str | None:
    """Return the shell condition under which a server is ready; None for other commands."""
    if "--detach" in text:
        return None
    if re.search(r"\bmake run\b|auto_cmd\.py start|serving-gateway (start|demo)", text):
        return "grep '^ready: ' $OUTPUT"
    port = re.search(r"-m model_server .*--rest_api_port=(\d+)|flask .*--port (\d+)", text, re.S)
    if port:
        return f"exec 3<>/dev/tcp/127.0.0.1/{port[1] or port[2]}"
    return "exec 3<>/dev/tcp/127.0.0.1/5000" if "gunicorn -c" in text else None
