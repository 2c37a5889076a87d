"""A small program between the supervisor and a child: no child outlives the supervisor.

    python -m orchestrator.shim --log FILE --cwd DIR --grace-s S [--cleanup JSON] -- ARGV…

Standard input is a pipe from the supervisor. The line ``stop`` means TERM and, after the grace
time, KILL; ``kill`` means KILL; ``reload`` means HUP. The end of the pipe means that the supervisor
has ended and is the same as ``stop``. Standard output tells the supervisor the PID of the child.

The output of the child goes to a rotating log. The child leads a new session. When it has
ended, what is left of its process group is ended too, and then the cleanup command is run. The exit
code is that of the child, or 128 plus the number of the signal that ended it.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.logs import RotatingLog
from orchestrator.processes import group_is_running

CANNOT_START = 127
LEFTOVERS_S = 2.0
CLEANUP_S = 20.0
_GONE_S = 2.0
_PAUSE_S = 0.01
#: The operating system waits for 2^31 ms at most.
_LONGEST_POLL_S = 86_400.0
_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Shim:
    """One child, its control pipe and its log."""

    def __init__(
        self, child: subprocess.Popen[bytes], output: int, log: RotatingLog, grace_s: float
    ) -> None:
        self._child = child
        self._output = output
        self._log = log
        self._grace_s = grace_s
        self._kill_at: float | None = None
        self._selector = selectors.PollSelector()

    def run(self, wake: int) -> int:
        """Handle signals, commands and output until the child has ended; return its exit code."""
        self._listen(wake, self._handle_signals)
        self._listen(sys.stdin.fileno(), self._handle_commands)
        self._listen(self._output, self._copy_output)
        while self._child.poll() is None:
            self._step()
        self._end_leftovers()
        return exit_code(self._child.returncode)

    def _listen(self, file: int, act: Callable[[int], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, act)

    def _step(self) -> None:
        left = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
        self._serve(left)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = time.monotonic() + 0.1
            end_group(self._child.pid, signal.SIGKILL)

    def _serve(self, timeout_s: float | None) -> None:
        limit_s = None if timeout_s is None else min(timeout_s, _LONGEST_POLL_S)
        for key, _ in self._selector.select(limit_s):
            key.data(key.fd)

    def _handle_signals(self, file: int) -> None:
        if _STOPPING & set(os.read(file, 512)):
            self._stop()

    def _handle_commands(self, file: int) -> None:
        received = os.read(file, 512)
        if not received:
            self._selector.unregister(file)
        for word in received.split() or [b"stop"]:
            {b"stop": self._stop, b"kill": self._kill, b"reload": self._reload}[word]()

    def _copy_output(self, file: int) -> None:
        data = os.read(file, 65536)
        self._log.write(data)
        if not data:
            self._selector.unregister(file)

    def _stop(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_s
            # Not to the group: gunicorn's parent process lets its workers finish their requests.
            self._child.send_signal(signal.SIGTERM)
            self._child.send_signal(signal.SIGCONT)  # a stopped child would not end

    def _kill(self) -> None:
        self._kill_at = time.monotonic()

    def _reload(self) -> None:
        self._child.send_signal(signal.SIGHUP)

    def _end_leftovers(self) -> None:
        """Send TERM to the rest of the child's process group; read the last output."""
        end_group(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + LEFTOVERS_S
        self._serve(0)
        while group_is_running(self._child.pid) and time.monotonic() < deadline:
            self._serve(0.02)


def end_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, which may have ended already."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
        return


def kill_group(group: int, within_s: float = _GONE_S) -> None:
    """Kill a process group and wait until it is gone, since KILL does not take effect at once."""
    end_group(group, signal.SIGKILL)
    deadline = time.monotonic() + within_s
    while group_is_running(group) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)


def clean_up(argv: Sequence[str], log: RotatingLog) -> None:
    """Run the cleanup command, if there is one; failures go to the log."""
    if not argv:
        return
    try:
        done = subprocess.run(  # noqa: S603 - the command is the supervisor's
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=CLEANUP_S, check=False
        )
        log.write(done.stdout + done.stderr)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.write(f"the cleanup command {argv[0]} failed: {error}\n".encode())


def exit_code(returncode: int) -> int:
    """Return the exit code as a shell reports it: 128 plus the signal number after a signal."""
    return 128 - returncode if returncode < 0 else returncode


def signal_pipe() -> int:
    """Write the numbers of signals to a pipe; return its end for reading."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (*_STOPPING, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return read


def main(argv: Sequence[str]) -> int:
    """Start the child, print its PID, and run until it has ended."""
    options = _parser().parse_args(argv)
    log = RotatingLog(options.log)
    wake = signal_pipe()
    output, childs_end = os.pipe()
    try:
        child = _start(options.argv, options.cwd, childs_end)
    except OSError as error:
        log.write(f"{options.argv[0]} cannot be started: {error}\n".encode())
        return CANNOT_START
    os.close(childs_end)
    try:
        # The supervisor may have ended by now; the end of standard input then stops the child.
        with suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
        return Shim(child, output, log, options.grace_s).run(wake)
    finally:
        kill_group(child.pid)
        clean_up(options.cleanup, log)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shim")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--cwd", required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--cleanup", type=json.loads, default=[])
    parser.add_argument("argv", nargs="+")
    return parser


def _start(argv: Sequence[str], cwd: str, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the command is the supervisor's
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
