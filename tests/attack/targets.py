"""Both servers as real processes, each with a good caller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from flask_server.runtime.request_threads import GET_THREADS, HEALTH_THREADS
from flask_server.settings import Settings
from tests.attack.catalogue import Target, crowd
from tests.attack.good_caller import Question, good_caller
from tests.attack.usage import Usage, children, usage
from tests.flask_server.conftest import flat
from tests.flask_server.gunicorn_process import running_gateway
from tests.model_server.harness import TOY_SERVER, server_process
from tests.model_server.toy import write_version
from tests.running import ROOT

#: More than the threads of a gateway's worker, so that all of them exist before an attack.
_WARM = 100
#: Threads of a gateway whose pools, which start them one by one, are full.
_POOLS = Settings().threads + HEALTH_THREADS + GET_THREADS
#: What a server may use beyond what it used before all attacks: freed memory that the allocator
#: keeps, threads and connections of pools, and the good caller's own connections.
MARGIN = Usage(resident_mb=100, threads=16, descriptors=10)


@contextmanager
def stub_serving() -> Iterator[str]:
    """A stub of Serving in a process of its own, so that the work of an attack cannot slow it."""
    command = [sys.executable, "-m", "tests.attack.serving"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def gateway(folder: Path, options: str = "") -> Iterator[Target]:
    """A gateway of one worker with its default limits, in front of a stub of Serving.

    ``options`` are further ones of gunicorn's command line.
    """
    pid_file, image = folder / "gateway.pid", flat("red")
    with stub_serving() as url:
        arguments = f"--pid {pid_file} {options}"
        with running_gateway(folder, url, GUNICORN_CMD_ARGS=arguments) as root:
            port, pid = int(root.rpartition(":")[2]), int(pid_file.read_text())
            questions = (
                Question("GET", "/healthz", '"ok"'),
                Question(
                    "POST", "/models/toy/predict", "middle", image.decode("latin-1"), "image/png"
                ),
            )
            with good_caller(port, questions) as caller:
                target = Target(
                    port=port,
                    pid=pid,
                    pids=(pid, *children(pid)[:1]),
                    caller=caller,
                    before=Usage(0, 0, 0),
                    predict_path="/models/toy/predict",
                    predict_kind="image/png",
                    predict_body=image,
                    get_path="/models",
                    large=b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
                )
                warm = _warm(target)
                pools = max(warm.before.threads, _POOLS)
                yield replace(warm, before=replace(warm.before, threads=pools))


@contextmanager
def model_server(folder: Path) -> Iterator[Target]:
    """The embedded server with the toy engine."""
    write_version(folder / "toy", 1, plus=1)
    flags = ("--model_name=toy", f"--model_base_path={folder / 'toy'}")
    with server_process(TOY_SERVER, folder / "model_server.log", *flags) as process:
        path, body = "/v1/models/toy:predict", json.dumps({"instances": [1.0, 3.0]})
        questions = (
            Question("GET", "/v1/models/toy", "AVAILABLE"),
            Question("POST", path, "[1.5, 2.5", body),
        )
        numbers = json.dumps({"instances": [0.123456] * 10_000}).encode()
        large = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
        with good_caller(process.port, questions) as caller:
            target = Target(
                port=process.port,
                pid=process.child.pid,
                pids=(process.child.pid,),
                caller=caller,
                before=Usage(0, 0, 0),
                predict_path=path,
                predict_kind="application/json",
                predict_body=body.encode(),
                get_path="/v1/models/toy",
                large=large % (path.encode(), len(numbers), numbers),
            )
            yield _warm(target)


def _warm(target: Target) -> Target:
    """Let the server start all threads of its pools, and note what it uses then."""
    with crowd(target, _WARM) as connections:
        for connection in connections:
            connection.sendall(target.predict)
        for connection in connections:
            connection.recv(65536)
    target.caller.report()
    return replace(target, before=usage(target.pid))
