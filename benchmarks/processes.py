"""Start servers for a benchmark, and read CPU time and memory of their processes (Linux)."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".run" / "bench" / "logs"
START_S = 120
_STOP_S = 20
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    url: str,
    environ: Mapping[str, str] | None = None,
    program: str = sys.executable,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; the block starts when the URL answers 200."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{_name(program, command)}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *command],
            cwd=ROOT,
            env=os.environ | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_ready(url, process)
        yield process
    finally:
        _stop(process)


def _name(program: str, command: Sequence[str]) -> str:
    """Name the log after the module that is run, or after the program."""
    if command[0] == "-m":
        return command[1]
    return Path(program).name


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process, and kill what is left of its session."""
    process.send_signal(signal.SIGTERM)
    # The session may be empty when the process has already ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the URL answers 200; raise RuntimeError when the process ends before."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if is_ready(url):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{url} did not answer 200 within {START_S} s")


def is_ready(url: str) -> bool:
    """Return whether a GET is answered with 200."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def header(root: str, path: str, name: str) -> str:
    """Return a header of the response to a GET, or an empty string."""
    connection = http.client.HTTPConnection(root.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().headers.get(name, "")
    finally:
        connection.close()


def process_tree(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    children = " ".join(_text(listing) for listing in listings).split()
    return [pid, *(member for child in children for member in process_tree(int(child)))]


def _text(path: Path) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return path.read_text()
    return ""


def cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU seconds that the processes have used so far."""
    return sum(_cpu_s(pid) for pid in pids)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Return the process's resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
