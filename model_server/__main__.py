"""Start the server: ``python -m model_server --rest_api_port=8501 --model_base_path=/models/m``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from model_server.packages import require_packages

if __name__ == "__main__":
    require_packages()

from model_catalog.version import VERSION
from model_server.engines.protocol import Engine
from model_server.errors import ModelServerError
from model_server.flag_table import FLAGS, with_defaults
from model_server.flags import UsageError, parse, usage
from model_server.internal_errors import as_internal_error
from model_server.log_lines import LineFormatter
from model_server.malloc_trim import limit_heaps
from model_server.server import Server
from serving_tracing import start

_PROGRAM = "python -m model_server"
_FAILED = 255
_LOG_FORMAT = "%(asctime)s %(levelname).1s %(message)s"
#: The name of the server in traces, unless the environment has one.
_SERVICE_NAME = "embedded-model-server"
_POLL_S = 0.2

#: An event that ends the wait of the main thread: a failed start, or a signal to stop.
Event = ModelServerError | signal.Signals

logger = logging.getLogger("model_server")


def main(
    argv: Sequence[str] | None = None, engine: Engine | None = None, program: str = _PROGRAM
) -> int:
    """Serve until SIGTERM or SIGINT; return 0 then, 255 when the start fails."""
    arguments = sys.argv[1:] if argv is None else argv
    known = with_defaults(FLAGS, os.environ)
    if "--help" in arguments:
        _print(usage(program, known))
        return _FAILED  # as tensorflow_model_server does
    try:
        command_line = parse(arguments, known)
    except UsageError as error:
        return _report_usage_error(str(error), usage(program, known))
    flags = command_line.values
    if flags["version"]:
        _print(f"TensorFlow ModelServer: {VERSION} (embedded)")
        _print(f"TensorFlow Library: {_version('tensorflow-cpu', 'tensorflow')}")
        return 0
    _log_to_stderr()
    start.start(_SERVICE_NAME, os.environ)
    for flag in command_line.ignored:
        logger.warning("--%s is accepted and ignored. %s", flag.name, flag.help)
    limit_heaps()
    return _serve(flags, engine)


def _serve(flags: Mapping[str, Any], engine: Engine | None) -> int:
    events: SimpleQueue[Event] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: events.put(signal.Signals(received)))
    try:
        server = Server(flags, engine)
    except ModelServerError as error:
        return _report_failed_start(error)
    # Loading may take minutes; the main thread has to stay free to handle signals.
    threading.Thread(target=_start, args=(server, events), name="start", daemon=True).start()
    event = _next_event(events)
    if isinstance(event, ModelServerError):
        return _report_failed_start(event)
    logger.info("Stopping on %s.", event.name)
    server.stop()
    start.stop()
    return 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(_LOG_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _next_event(events: SimpleQueue[Event]) -> Event:
    """Wait for an event, with a timeout, as a thread that waits without one may miss a signal."""
    while True:
        try:
            return events.get(timeout=_POLL_S)
        except Empty:
            continue


def _start(server: Server, events: SimpleQueue[Event]) -> None:
    try:
        with as_internal_error("starting the server"):
            server.start()
    except ModelServerError as error:
        events.put(error)


def _report_failed_start(error: ModelServerError) -> int:
    logger.error("Failed to start server. Error: %s", error)
    _print(f"Failed to start server. Error: {error}")
    return _FAILED


def _report_usage_error(problem: str, usage_text: str) -> int:
    logger.error("%s", problem)
    _print(f"{problem}\n{usage_text}")
    return _FAILED


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def _exit(code: int) -> NoReturn:
    """Exit without the shutdown of the Python interpreter.

    That shutdown may crash while other threads run native code, such as a load or a model run.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the pipe is closed at the other end
            stream.flush()
    os._exit(code)


def run(program: str) -> NoReturn:
    """Serve until a signal comes, under the name of the command, and end the process."""
    _exit(main(program=program))


if __name__ == "__main__":
    _exit(main())
