"""Watch one model: which versions Serving has, and the spec and encoder of each.

``ModelWatch.poll`` asks Serving; requests read the state of the last poll. The spec of a version
never changes, so it is read once. Knows nothing about HTTP requests and images.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from flask_server.deadline import Deadline
from flask_server.errors import ModelNotReady, ServingFault, UnknownVersion, copied
from flask_server.serving.golden_replay import GoldenReplay, ReplayOptions
from flask_server.serving.live_model import LiveModel
from flask_server.serving.live_model_reader import read_live_model
from flask_server.serving.model_state import ModelState
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.traffic import Traffic, labels_of
from flask_server.serving.upstream import (
    AVAILABLE,
    ServableGone,
    Serving,
    VersionStatus,
)
from model_catalog.model_entry import BIGGEST_VERSION, ModelEntry

log = logging.getLogger(__name__)

#: Maximum duration of one poll in seconds.
POLL_TIMEOUT_S = 5.0
#: How often a poll is repeated when the newest version is unloaded while its spec is read.
POLL_ATTEMPTS = 2
#: Keys of the models file that can change without reading the versions again.
_FREE_KEYS = ("versions", "version_labels", "split", "shadow")


class ModelWatch:
    """The versions of one model at its Serving; safe to use from several threads."""

    def __init__(
        self,
        entry: ModelEntry,
        serving: Serving,
        max_inflight_calls: int,
        replay_options: ReplayOptions,
    ) -> None:
        self.name = entry.name
        self.serving = serving
        self.folder = entry.base_path
        self._entry = entry
        self._batcher = RequestBatcher(max_inflight_calls)
        self._replay = GoldenReplay(entry.base_path, replay_options)
        self._state: ModelState | None = None
        self._live_models: dict[int, LiveModel] = {}
        self._has_logged_scale = False
        self._polling = threading.Lock()

    def accept(self, entry: ModelEntry) -> bool:
        """Take up an entry that differs only in versions, labels, split or shadow.

        Returns whether it does.
        """
        free = {key: getattr(self._entry, key) for key in _FREE_KEYS}
        is_same = replace(entry, **free) == self._entry
        if is_same:
            self._entry = entry
        return is_same

    def state(self, deadline: Deadline | None = None) -> ModelState:
        """Return the result of the last poll; the first call polls."""
        return self._state or self.poll(deadline)

    def newest(self, deadline: Deadline) -> LiveModel:
        """Return the newest usable version, or raise the ServingFault that explains why not."""
        state = self.state(deadline)
        if state.newest is None:
            raise copied(self._fault_of(state))
        return state.newest

    def chosen(self, point: float, deadline: Deadline) -> LiveModel:
        """Return the version for a point of the split, as ``Traffic.choose``; else the newest."""
        return self.state(deadline).traffic.choose(point) or self.newest(deadline)

    def fault(self) -> ServingFault | None:
        """Return why the model is not ready, or None if it is."""
        state = self.state()
        return None if state.ready else self._fault_of(state)

    def _fault_of(self, state: ModelState) -> ServingFault:
        return state.problem or ModelNotReady(_not_ready(self.name, state.versions))

    def pinned(self, version: int, deadline: Deadline) -> LiveModel:
        """Return the version with this number, or raise UnknownVersion."""
        try:
            if version > BIGGEST_VERSION:
                raise ServableGone("Version numbers have at most 63 bits.")
            return self._live_model(version, deadline)
        except ServableGone as error:
            raise UnknownVersion(
                f"Model {self.name} has no available version {version}."
            ) from error

    def labelled(self, label: str, deadline: Deadline) -> LiveModel:
        """Return the version that has this version label at Serving, or raise UnknownVersion."""
        try:
            version = self.serving.label_version(self.name, label, deadline)
            return self._live_model(version, deadline)
        except ServableGone as error:
            raise UnknownVersion(f"Model {self.name} has no version labelled {label!r}.") from error

    def poll(self, deadline: Deadline | None = None) -> ModelState:
        """Ask Serving for the versions now, and store and return the new state.

        Concurrent callers share one poll (single flight), so that none queues behind a slow Serving
        more than once. Failures of Serving become part of the state. If a given deadline passes
        before the poll begins, ServingTimeout is raised.
        """
        before = self._state
        with self._poll_lock(deadline):
            current = self._state
            if current is not None and current is not before:
                return current
            limit = (
                Deadline(POLL_TIMEOUT_S) if deadline is None else deadline.within(POLL_TIMEOUT_S)
            )
            state = self._query(limit)
            _log_change(self.name, current, state)
            self._state = state
            return state

    def replay_golden_pictures(self) -> None:
        """Measure the drift of the newest version, once; the next poll has it in its state."""
        state = self._state
        if state is not None and state.ready and state.newest is not None:
            self._replay.poll(state.newest)

    @contextmanager
    def _poll_lock(self, deadline: Deadline | None) -> Iterator[None]:
        if deadline is None:
            self._polling.acquire()
        elif not self._polling.acquire(timeout=deadline.left()):
            raise deadline.passed()
        try:
            yield
        finally:
            self._polling.release()

    def _query(self, deadline: Deadline) -> ModelState:
        for _ in range(POLL_ATTEMPTS - 1):
            try:
                return self._with_labels(self._query_once(deadline), deadline)
            except ServableGone:
                continue
        return self._with_labels(self._query_once(deadline, allow_gone=True), deadline)

    def _with_labels(self, state: ModelState, deadline: Deadline) -> ModelState:
        if state.newest is None or state.problem is not None:
            return replace(state, labels={})
        entry = self._entry
        labels, problems = self._labels(entry, deadline)
        traffic = self._traffic(entry, labels, problems, deadline)
        return replace(state, labels=labels, traffic=traffic)

    def _labels(
        self, entry: ModelEntry, deadline: Deadline
    ) -> tuple[dict[str, int], dict[str, str]]:
        """Return the versions of the labels, and why the other labels have none.

        A label stays where it was if Serving is too busy to tell.
        """
        known = self._known_labels()
        found: dict[str, int] = {}
        problems: dict[str, str] = {}
        for label in dict.fromkeys([*entry.version_labels, *labels_of(entry)]):
            try:
                found[label] = self.serving.label_version(self.name, label, deadline)
            except ServableGone:
                problems[label] = "the model server does not name one"
            except ServingFault as fault:
                if label in known:
                    found[label] = known[label]
                else:
                    problems[label] = str(fault).rstrip(".")
        return found, problems

    def _known_labels(self) -> dict[str, int]:
        """Return the last known version of each label.

        A failed poll leaves the state without ``labels``, but with the traffic from before.
        """
        before = self._state or ModelState()
        chosen = {label: live.version for label, live in before.traffic.versions.items()}
        return {**chosen, **before.labels}

    def _traffic(
        self,
        entry: ModelEntry,
        labels: Mapping[str, int],
        without_version: Mapping[str, str],
        deadline: Deadline,
    ) -> Traffic:
        """Return the traffic of the labels; ``without_version`` tells why labels have none."""
        versions: dict[str, LiveModel] = {}
        problems: dict[str, str] = {}
        for label in labels_of(entry):
            if label not in labels:
                problems[label] = without_version[label]
                continue
            try:
                live = self._live_model(labels[label], deadline)
            except (ServingFault, ServableGone) as error:
                problems[label] = f"version {labels[label]}: {error}".rstrip(".")
            else:
                versions[label] = replace(live, split_label=label)
        return Traffic(entry.split, entry.shadow, versions, problems)

    def _query_once(self, deadline: Deadline, *, allow_gone: bool = False) -> ModelState:
        """Return Serving's state, or raise ServableGone if a version is unloaded meanwhile.

        With ``allow_gone`` such a version counts as one that cannot be used.
        """
        try:
            versions = tuple(self.serving.status(self.name, deadline))
        except ServableGone:
            versions = ()
        except ServingFault as error:
            return self._unreachable(error)
        addresses = self.serving.addresses(self.name)
        available = _by_preference(versions)
        self._keep_only(available)
        live, unusable = self._newest_usable(available, deadline, allow_gone=allow_gone)
        state = ModelState(
            _explained(versions, unusable), live, unusable=unusable, addresses=addresses
        )
        if live is None:
            return replace(state, problem=unusable[available[0]] if available else None)
        return replace(
            state,
            score_drift=self._replay.drift(live.version),
            drift_warnings=self._replay.warnings(live.version),
        )

    def _newest_usable(
        self, available: Sequence[int], deadline: Deadline, *, allow_gone: bool
    ) -> tuple[LiveModel | None, dict[int, ServingFault]]:
        """Return the first version that can be used, and why those before it cannot."""
        unusable: dict[int, ServingFault] = {}
        for version in available:
            # A version that takes long to describe leaves time for the older ones.
            share = 1 if version == available[-1] else 0.5
            try:
                live = self._live_model(version, deadline.within(deadline.left() * share))
            except ServingFault as error:
                unusable[version] = error
            except ServableGone as error:
                if not allow_gone:
                    raise
                unusable[version] = ModelNotReady(
                    f"The model server of {self.name} does not find the version: {error}"
                )
            else:
                return live, unusable
        return None, unusable

    def _unreachable(self, problem: ServingFault) -> ModelState:
        """Keep the last known version, since a busy Serving may still predict.

        Its spec is read again by the next poll: Serving may come back with another model.
        """
        self._keep_only(())
        before = self._state or ModelState()
        return replace(before, problem=problem, addresses=self.serving.addresses(self.name))

    def _live_model(self, version: int, deadline: Deadline) -> LiveModel:
        live = self._live_models.get(version)
        if live is None:
            live = read_live_model(self._entry, version, self.serving, self._batcher, deadline)
            self._live_models[version] = live
            self._log_assumed_scale(live)
        self._replay.require(live, deadline)
        return live

    def _log_assumed_scale(self, live: LiveModel) -> None:
        """Log once that nothing states the scale of the model."""
        if live.assumes_scale and not self._has_logged_scale:
            self._has_logged_scale = True
            log.warning(
                "model %s: its input takes floats, and the models file states no scale for them, so"
                " pixels are scaled with %s; state the scale of the training as input.scale",
                self.name,
                live.spec.images.scale,
            )

    def _keep_only(self, available: Collection[int]) -> None:
        """Forget unloaded versions: their numbers may come back with another model."""
        for version in set(self._live_models).difference(available):
            self._live_models.pop(version, None)
        self._replay.keep_only(available)


def _by_preference(versions: Iterable[VersionStatus]) -> list[int]:
    """Return the available versions, the one to use first.

    It is the newest of those that the most addresses have; with one address, the newest.
    """
    ranks = {(each.addresses, each.version) for each in versions if each.state == AVAILABLE}
    return [version for _, version in sorted(ranks, reverse=True)]


def _log_change(name: str, before: ModelState | None, after: ModelState) -> None:
    """Log each change once."""
    if before is None or before.summary != after.summary:
        level = logging.INFO if after.is_fine else logging.WARNING
        log.log(level, "model %s: %s", name, after.summary)


def _explained(
    versions: Iterable[VersionStatus], unusable: Mapping[int, ServingFault]
) -> tuple[VersionStatus, ...]:
    """Return the states of the versions with the reasons why available ones cannot be used."""
    return tuple(
        replace(status, error=str(unusable[status.version]))
        if status.state == AVAILABLE and status.version in unusable
        else status
        for status in versions
    )


def _not_ready(name: str, versions: tuple[VersionStatus, ...]) -> str:
    states = ", ".join(f"{v.version} {v.state}" for v in versions) or "none"
    return f"Model {name} has no available version; Serving's versions are: {states}."
