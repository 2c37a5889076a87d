"""Several servers with the same models, as one Serving.

Each poll asks every server for its versions. A call goes to one of the servers that have its
version: to the one with the fewest calls in flight whose circuit is closed. A call that found no
connection or no version, or whose connection broke twice, is sent once more, to another server.
Predict calls change nothing, so one that is executed twice does no harm.

Labels must belong to the scores, so the same number has to mean the same version everywhere. A
server gets no calls for a version before its description of the version was read: the spec or, of a
foreign SavedModel, the signatures. If it differs from that of the first server, it gets none.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeVar

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, ServingTimeout, ServingUnavailable
from flask_server.serving.signatures import Signatures, is_our_export
from flask_server.serving.upstream import (
    AVAILABLE,
    MAX_PREDICT_BYTES,
    AddressState,
    BrokenConnection,
    CallFormat,
    Codec,
    Metadata,
    NoConnection,
    ServableGone,
    Serving,
    SingleServing,
    VersionStatus,
)

#: Seconds to wait for all servers that answered before, once it is time to ask them.
PATIENCE_S = 1.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Description:
    """What a server tells about one version."""

    metadata: Metadata

    rows: object
    """The rows of the ``describe`` signature; None for a foreign SavedModel."""

    def is_same(self, other: Description) -> bool:
        """Tell whether the labels of one fit the scores of the other."""
        if self.rows is None or other.rows is None:
            return self.rows is other.rows and (
                self.metadata.signatures == other.metadata.signatures
            )
        return self.rows == other.rows


@dataclass(frozen=True, slots=True)
class Replica:
    """What one server told about one model."""

    problem: ServingFault | None = None
    """Why the last poll failed; the other fields are then from the one before."""

    versions: tuple[VersionStatus, ...] = ()

    descriptions: Mapping[int, Description] = field(default_factory=dict)
    """Those of the versions in use."""

    @property
    def available(self) -> set[int]:
        """The versions that the server has available."""
        return {each.version for each in self.versions if each.state == AVAILABLE}

    def without(self, version: int) -> Replica:
        """Return the same without a version that is gone."""
        return replace(
            self,
            versions=tuple(each for each in self.versions if each.version != version),
            descriptions={v: each for v, each in self.descriptions.items() if v != version},
        )


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """What all servers told about one model, in the order of their addresses. Immutable."""

    replicas: tuple[Replica, ...]

    references: Mapping[int, Description] = field(default_factory=dict)
    """The descriptions of the versions in use, with which those of the servers are compared."""

    def has(self, index: int, version: int) -> bool:
        """Tell whether a server has this version available, and as the others have it."""
        replica, reference = self.replicas[index], self.references.get(version)
        if reference is None:
            return version in replica.available
        found = replica.descriptions.get(version)
        return found is not None and found.is_same(reference)

    def differs(self, index: int, version: int) -> bool:
        """Tell whether a server describes the version otherwise than the others."""
        return version in self.replicas[index].descriptions and not self.has(index, version)

    def holders(self, version: int) -> list[int]:
        """Return the servers that have the version.

        Those that did not answer the last poll count only if no other has it.
        """
        indices = [i for i in range(len(self.replicas)) if self.has(i, version)]
        return [i for i in indices if self.replicas[i].problem is None] or indices

    def has_reachable(self, version: int) -> bool:
        """Tell whether a server that answered the last poll has the version."""
        return any(self.replicas[i].problem is None for i in self.holders(version))

    def forgetting(self) -> ReplicaSet:
        """Return the same without the references that no server has any more.

        The number may come back with another model. Until a server answers, all are kept.
        """
        if all(replica.problem for replica in self.replicas):
            return self
        kept = {v: each for v, each in self.references.items() if self.has_reachable(v)}
        return replace(self, references=kept)

    def address_state(self, index: int, address: str) -> AddressState:
        """Return the state of a server."""
        replica = self.replicas[index]
        available = sorted(replica.available, reverse=True)
        differing = [version for version in available if self.differs(index, version)]
        usable = tuple(version for version in available if version not in differing)
        return AddressState(address, replica.problem, usable, tuple(differing))

    def statuses(self) -> list[VersionStatus]:
        """Return the state of each version, newest first; raise ServingFault if all are silent."""
        answered = [i for i, replica in enumerate(self.replicas) if replica.problem is None]
        if not answered:
            raise next(each.problem for each in self.replicas if each.problem)
        told: dict[int, VersionStatus] = {}
        for status in (each for i in answered for each in self.replicas[i].versions):
            if status.state != AVAILABLE:
                told.setdefault(status.version, status)
        for version in set[int]().union(*(self.replicas[i].available for i in answered)):
            has = [i for i in answered if version in self.replicas[i].available]
            if self.has_reachable(version):
                number = sum(not self.differs(i, version) for i in has)
                told[version] = VersionStatus(version, AVAILABLE, "", number)
        return [told[version] for version in sorted(told, reverse=True)]


class ReplicatedServing(Serving):
    """Several servers of one protocol."""

    def __init__(self, servers: Sequence[SingleServing]) -> None:
        self._servers = tuple(servers)
        self._lock = threading.Lock()
        self._models: dict[str, ReplicaSet] = {}
        self._polls: dict[tuple[int, str], Future[Replica]] = {}
        # Workers and gateways must not all begin with the same server.
        self._turns = count(random.randrange(len(self._servers)))  # noqa: S311 - not for secrets

    @property
    def servers(self) -> tuple[SingleServing, ...]:
        """The servers in the order of their addresses."""
        return self._servers

    def addresses(self, model: str) -> tuple[AddressState, ...]:
        """Return the state of each address, in their order."""
        found = self._replicas_of(model)
        return tuple(found.address_state(i, server.root) for i, server in enumerate(self._servers))

    def close(self) -> None:
        """Close the connections to all servers."""
        for server in self._servers:
            server.close()

    def status(self, model: str, deadline: Deadline) -> list[VersionStatus]:
        """Ask all servers and return the state of each version, newest first.

        A version is available if one server has it. Raises ServingFault if no server answers.
        """
        before = self._replicas_of(model)
        polls = [self._poll(i, model, before, deadline) for i in range(len(self._servers))]
        patient = [p for p, each in zip(polls, before.replicas, strict=True) if not each.problem]
        _wait(polls, patient, deadline)
        with self._lock:
            before = self._models.get(model, before)
            replicas = [
                self._outcome(i, model, poll, before.replicas[i]) for i, poll in enumerate(polls)
            ]
            found = replace(before, replicas=tuple(replicas))
            # A version whose reference is forgotten now is told by the next poll, so that its
            # description is read again.
            self._models[model] = found.forgetting()
        return found.statuses()

    def label_version(self, model: str, label: str, deadline: Deadline) -> int:
        """Return the version that has this label at the first server that tells it."""
        errors: list[Exception] = []
        for server in self._in_order(model):
            try:
                return server.label_version(model, label, deadline)
            except (ServingUnavailable, ServableGone) as error:
                errors.append(error)
        raise next((each for each in errors if isinstance(each, ServableGone)), errors[0])

    def metadata(self, model: str, version: int, deadline: Deadline) -> Metadata:
        """Return signatures and engine of the version, and compare the servers that have it."""
        found = self._replicas_of(model)
        if version not in found.references:
            found = self._described(model, version, deadline)
        return found.references[version].metadata

    def describe(
        self, model: str, version: int, signatures: Signatures, deadline: Deadline
    ) -> object:
        """Return the rows of the ``describe`` signature, read with the metadata."""
        reference = self._replicas_of(model).references.get(version)
        if reference is None:
            raise _gone(model, version)
        return reference.rows

    def codec(self, model: str, version: int, format_: CallFormat) -> Codec:
        """Return the codec of the predict calls, which is the same for all servers."""
        return self._servers[0].codec(model, version, format_)

    def predict(
        self,
        model: str,
        version: int,
        body: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_PREDICT_BYTES,
    ) -> object:
        """Send a predict call to one of the servers that have the version."""
        first = self._first(model, version)
        try:
            return self._servers[first].predict(model, version, body, deadline, max_bytes)
        except (NoConnection, BrokenConnection, ServableGone) as error:
            if not isinstance(error, BrokenConnection):
                self._note(first, model, version, error)
            other = self._choose(model, version, tried=first)
            if other is None:
                raise
        return self._servers[other].predict(model, version, body, deadline, max_bytes)

    def server_of(self, model: str, version: int) -> SingleServing:
        """Return the server for the next call to this version, or raise ServableGone."""
        return self._servers[self._first(model, version)]

    def _first(self, model: str, version: int) -> int:
        first = self._choose(model, version)
        if first is None:
            raise _gone(model, version)
        return first

    def _replicas_of(self, model: str) -> ReplicaSet:
        empty = ReplicaSet(tuple(Replica() for _ in self._servers))
        with self._lock:
            return self._models.get(model, empty)

    def _poll(
        self, index: int, model: str, before: ReplicaSet, deadline: Deadline
    ) -> Future[Replica]:
        """Ask a server in a thread; one that has not answered the last time is not asked again."""
        with self._lock:
            running = self._polls.get((index, model))
            if running is None:
                look = partial(_look, self._servers[index], model, before, index, deadline)
                self._polls[index, model] = running = _in_thread(look)
        return running

    def _outcome(self, index: int, model: str, poll: Future[Replica], before: Replica) -> Replica:
        """Return what a poll has found; the caller holds the lock."""
        if not poll.done():
            late = ServingTimeout(
                f"The model server of {model} did not tell its versions in time.",
                address=self._servers[index].root,
            )
            return replace(before, problem=before.problem or late)
        self._polls.pop((index, model), None)
        try:
            found = poll.result()
        except ServingFault as problem:
            return replace(before, problem=problem)
        if before.problem is not None:
            return found
        # A version may have come into use since the poll began.
        added = {v: each for v, each in before.descriptions.items() if v in found.available}
        return replace(found, descriptions={**added, **found.descriptions})

    def _described(self, model: str, version: int, deadline: Deadline) -> ReplicaSet:
        """Read the description of a version from all servers that have it, and take the first."""
        found = self._replicas_of(model)
        indices = found.holders(version) or [
            i for i, each in enumerate(found.replicas) if each.problem is None
        ]
        reads = {
            i: _in_thread(partial(_description, self._servers[i], model, version, deadline))
            for i in indices or range(len(self._servers))
        }
        _wait(list(reads.values()), list(reads.values()), deadline)
        read = {i: each.result() for i, each in reads.items() if _succeeded(each)}
        if not read:
            raise _first_error(reads.values()) or deadline.passed()
        with self._lock:
            before = self._models.get(model, found)
            replicas = [
                replace(each, descriptions={**each.descriptions, version: read[i]})
                if i in read
                else each
                for i, each in enumerate(before.replicas)
            ]
            reference = before.references.get(version) or read[min(read)]
            after = ReplicaSet(tuple(replicas), {**before.references, version: reference})
            self._models[model] = after
        return after

    def _choose(self, model: str, version: int, tried: int | None = None) -> int | None:
        """Return the server for the next call, None if no other has the version."""
        found = self._replicas_of(model)
        indices = [i for i in found.holders(version) if i != tried]
        # Without a reference, the number may stand for another model than the caller has read.
        if not indices or version not in found.references:
            return None
        turn = next(self._turns)
        indices = [indices[(turn + i) % len(indices)] for i in range(len(indices))]
        closed = [i for i in indices if not self._servers[i].breaker.open]
        # A server that hangs holds one probe at a time, not one per interval.
        probes = [i for i in indices if self._servers[i].breaker.probe_due]
        idle = [i for i in probes if not self._servers[i].in_flight]
        if idle and tried is None:
            return idle[0]
        return min(closed or indices, key=lambda i: self._servers[i].in_flight)

    def _note(
        self, index: int, model: str, version: int, error: NoConnection | ServableGone
    ) -> None:
        """Send no further calls to a server that failed, until a poll finds it."""
        if isinstance(error, NoConnection) and self._servers[index].breaker.open:
            return  # the circuit refuses calls already, and closes without a poll
        with self._lock:
            found = self._models[model]
            replica = found.replicas[index]
            noted = (
                replica.without(version)
                if isinstance(error, ServableGone)
                else replace(replica, problem=error)
            )
            replicas = (*found.replicas[:index], noted, *found.replicas[index + 1 :])
            self._models[model] = replace(found, replicas=replicas)

    def _in_order(self, model: str) -> list[SingleServing]:
        """Return the servers in the order of their addresses, those that fail last."""
        replicas = self._replicas_of(model).replicas
        return [
            server
            for _, server in sorted(
                zip(replicas, self._servers, strict=True),
                key=lambda pair: pair[0].problem is not None or pair[1].breaker.open,
            )
        ]


def _look(
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
            descriptions[version] = _description(server, model, version, deadline)
        except (ServingFault, ServableGone):
            continue  # the next poll reads it again
    return replace(found, descriptions=descriptions)


def _description(
    server: SingleServing, model: str, version: int, deadline: Deadline
) -> Description:
    metadata = server.metadata(model, version, deadline)
    signatures = metadata.signatures
    is_ours = is_our_export(signatures)
    rows = server.describe(model, version, signatures, deadline) if is_ours else None
    return Description(metadata, rows)


def _wait(
    futures: Sequence[Future[Result]], patient: Sequence[Future[Result]], deadline: Deadline
) -> None:
    """Wait for the patient ones for a moment, and then until one of all has succeeded."""
    with suppress(ServingTimeout):
        wait(patient, min(PATIENCE_S, deadline.left()))
        while not any(map(_succeeded, futures)):
            running = [each for each in futures if not each.done()]
            if not running:
                return
            wait(running, deadline.left(), FIRST_COMPLETED)


def _succeeded(future: Future[Result]) -> bool:
    return future.done() and future.exception() is None


def _first_error(futures: Iterable[Future[Result]]) -> BaseException | None:
    """Return a failure of a server; only if there is none, that the version is gone."""
    errors = [each.exception() for each in futures if each.done()]
    return min(errors, key=lambda error: isinstance(error, ServableGone), default=None)


def _in_thread(run: Callable[[], Result]) -> Future[Result]:
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


def _gone(model: str, version: int) -> ServableGone:
    return ServableGone(f"No address has version {version} of {model}.")
