"""Start an instance in the background and wait until it is ready or has failed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence

from orchestrator.console import Console
from orchestrator.logs import Tail
from orchestrator.run_dir import RunDir

LOG = "auto_cmd"
_PAUSE_S = 0.05


def detach(argv: Sequence[str], run_dir: RunDir, console: Console) -> int:
    """Start ``argv`` in a new session and print its messages; return 0 once it is ready."""
    run_dir.prepare()
    log = run_dir.log(LOG)
    with log.open("ab") as output, Tail(log, 0) as tail:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return _follow(process, tail, run_dir, console)
        except KeyboardInterrupt:
            console.print(f"PID {process.pid} continues to start in the background")
            raise


def _follow(process: subprocess.Popen[bytes], tail: Tail, run_dir: RunDir, console: Console) -> int:
    while True:
        code = process.poll()
        ready = _is_ready(run_dir, process.pid)
        for line in tail.lines():
            console.print(line)
        if ready:
            process.returncode = 0  # it runs on; Popen would warn of a process not waited for
            return 0
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            console.print(f"PID {process.pid} was ended by {name} before it was ready")
            return 1
        if code is not None:
            return code
        time.sleep(_PAUSE_S)


def _is_ready(run_dir: RunDir, pid: int) -> bool:
    state = run_dir.running()
    return state is not None and state["pid"] == pid and state["announced"]
