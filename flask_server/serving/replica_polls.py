"""Ask several servers for their versions at the same time, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, ServingTimeout
from flask_server.serving.replica_set import Description, Replica, ReplicaSet
from flask_server.serving.signatures import is_our_export
from flask_server.serving.upstream import ServableGone, SingleServing

#: Seconds that a poll waits for every server that answered the one before.
POLL_WAIT_S = 1.0

Result = TypeVar("Result")


def poll_server(
    server: SingleServing, model: str, before: ReplicaSet, index: int, deadline: Deadline
) -> Replica:
    """Ask a server for its versions, and for the description of those that are new and in use."""
    try:
        versions = tuple(server.status(model, deadline))
    except ServableGone:
        return Replica()
    found = Replica(versions=versions)
    known = before.replicas[index]
    # A server that was away may have come back with another model.
    kept = {} if known.problem else known.descriptions
    descriptions = {v: each for v, each in kept.items() if v in found.available}
    for version in found.available.intersection(before.references).difference(descriptions):
        try:
            descriptions[version] = read_description(server, model, version, deadline)
        except (ServingFault, ServableGone):
            continue  # the next poll reads it again
    return replace(found, descriptions=descriptions)


def read_description(
    server: SingleServing, model: str, version: int, deadline: Deadline
) -> Description:
    """Ask a server for the signatures of a version and, of our exports, for its spec."""
    metadata = server.metadata(model, version, deadline)
    signatures = metadata.signatures
    is_ours = is_our_export(signatures)
    rows = server.describe(model, version, signatures, deadline) if is_ours else None
    return Description(metadata, rows)


def wait_for_one(
    futures: Sequence[Future[Result]], expected: Sequence[Future[Result]], deadline: Deadline
) -> None:
    """Wait up to ``POLL_WAIT_S`` for the expected ones, and then until one of all has succeeded."""
    with suppress(ServingTimeout):
        wait(expected, min(POLL_WAIT_S, deadline.left()))
        while not any(map(succeeded, futures)):
            running = [each for each in futures if not each.done()]
            if not running:
                return
            wait(running, deadline.left(), FIRST_COMPLETED)


def succeeded(future: Future[Result]) -> bool:
    """Tell whether a server has answered."""
    return future.done() and future.exception() is None


def first_error(futures: Iterable[Future[Result]]) -> BaseException | None:
    """Return a failure of a server; only if there is none, that the version is gone."""
    errors = [each.exception() for each in futures if each.done()]
    return min(errors, key=lambda error: isinstance(error, ServableGone), default=None)


def in_thread(run: Callable[[], Result]) -> Future[Result]:
    """Call the function in a new thread, or raise MemoryError if none can be started."""
    future: Future[Result] = Future()
    thread = threading.Thread(target=_fulfil, args=(future, run), name="replica", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise MemoryError("no thread can be started to ask a model server") from error
    return future


def _fulfil(future: Future[Result], run: Callable[[], Result]) -> None:
    try:
        future.set_result(run())
    except Exception as error:
        future.set_exception(error)
