"""Several servers with the same models, as one Serving.

Each poll asks every server for its versions. A call goes to one of the servers that have its
version: to the one with the fewest calls in flight whose circuit is closed. A call that found no
connection or no version, or whose connection broke twice, is sent once more, to another server.
Predict calls change nothing, so one that is executed twice does no harm. ``replica_set`` says which
servers have a version.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import count

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, ServingTimeout, ServingUnavailable, copied
from flask_server.serving.replica_polls import (
    first_error,
    in_thread,
    poll_server,
    read_description,
    succeeded,
    wait_for_one,
)
from flask_server.serving.replica_set import Replica, ReplicaSet
from flask_server.serving.signatures import Signatures
from flask_server.serving.upstream import (
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


class ReplicatedServing(Serving):
    """Several servers of one protocol."""

    def __init__(self, servers: Sequence[SingleServing]) -> None:
        self._servers = tuple(servers)
        self._unknown = ReplicaSet(tuple(Replica() for _ in self._servers))
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

    def keep_only(self, models: Collection[str]) -> None:
        """Forget the versions and descriptions of all other models, and their unfinished polls."""
        with self._lock:
            self._models = {name: each for name, each in self._models.items() if name in models}
            self._polls = {key: each for key, each in self._polls.items() if key[1] in models}

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
        expected = [p for p, each in zip(polls, before.replicas, strict=True) if not each.problem]
        wait_for_one(polls, expected, deadline)
        with self._lock:
            # A model that was forgotten meanwhile does not get its references back.
            before = self._models.get(model, self._unknown)
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
        with self._lock:
            return self._models.get(model, self._unknown)

    def _poll(
        self, index: int, model: str, before: ReplicaSet, deadline: Deadline
    ) -> Future[Replica]:
        """Ask a server in a thread; one that has not answered the last time is not asked again."""
        with self._lock:
            running = self._polls.get((index, model))
            if running is None:
                ask = partial(poll_server, self._servers[index], model, before, index, deadline)
                self._polls[index, model] = running = in_thread(ask)
        return running

    def _outcome(self, index: int, model: str, poll: Future[Replica], before: Replica) -> Replica:
        """Return what a poll has found; the caller holds the lock."""
        if not poll.done():
            late = ServingTimeout(
                f"The model server of {model} did not tell its versions in time.",
                address=self._servers[index].root,
            )
            return replace(before, problem=before.problem or late)
        if self._polls.get((index, model)) is poll:  # not a later one, if the model was forgotten
            del self._polls[index, model]
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
            i: in_thread(partial(read_description, self._servers[i], model, version, deadline))
            for i in indices or range(len(self._servers))
        }
        wait_for_one(list(reads.values()), list(reads.values()), deadline)
        read = {i: each.result() for i, each in reads.items() if succeeded(each)}
        if not read:
            raise first_error(reads.values()) or deadline.passed()
        with self._lock:
            before = self._models.get(model, self._unknown)
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
            found = self._models.get(model)
            if found is None:  # it was forgotten during the call
                return
            replica = found.replicas[index]
            noted = (
                replica.without(version)
                if isinstance(error, ServableGone)
                else replace(replica, problem=copied(error))
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


def _gone(model: str, version: int) -> ServableGone:
    return ServableGone(f"No address has version {version} of {model}.")
