"""Know which models and versions are live and what they say of themselves.

A background thread asks each Serving about once a second; requests read what it found. Specs belong
to one version of a model and never change, so each is asked for once and labels always fit the
scores they are put on. Knows nothing about HTTP requests and pictures.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask_server.deadline import Deadline
from flask_server.errors import ModelNotReady, ServingFault, UnknownModel, UnknownVersion
from flask_server.serving.client import AVAILABLE, ServableGone, Serving, VersionStatus
from flask_server.serving.live_model import LiveModel, read_live_model
from flask_server.serving.request_batching import RequestBatcher
from model_catalog.errors import shown
from model_catalog.models_file import BIGGEST_VERSION, ModelEntry

log = logging.getLogger(__name__)

#: Seconds that one look of the background thread may take.
POLL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the last look at a model showed."""

    versions: tuple[VersionStatus, ...] = ()
    newest: LiveModel | None = None
    problem: ServingFault | None = None

    @property
    def ready(self) -> bool:
        """Whether the newest version can be asked and Serving answered the last look."""
        return self.newest is not None and self.problem is None


class Models:
    """All configured models, kept up to date."""

    def __init__(
        self,
        entries: tuple[ModelEntry, ...],
        serving_at: Callable[[str | None], Serving],
        max_inflight_calls: int,
    ) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._servings = {entry.name: serving_at(entry.serving_url) for entry in entries}
        # Models never share a call, so neither do they share a queue.
        self._batchers = {entry.name: RequestBatcher(max_inflight_calls) for entry in entries}
        self._states: dict[str, ModelState] = {}
        self._specs: dict[tuple[str, int], LiveModel] = {}
        self._polling = {entry.name: threading.Lock() for entry in entries}
        self._stop = threading.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """The models in the order of the models file."""
        return tuple(self._entries)

    @property
    def default(self) -> str:
        """The model for callers that name none."""
        return self.names[0]

    def start(self, interval_s: float) -> None:
        """Look at all models now and then, in the background, until ``stop``.

        Each Serving has its own thread, so that one that hangs hides no other.
        """
        for serving in set(self._servings.values()):
            names = [name for name in self.names if self._servings[name] is serving]
            threading.Thread(
                target=self._watch, args=(names, interval_s), name="model-watch", daemon=True
            ).start()

    def stop(self) -> None:
        """End the background thread at its next turn and close the connections."""
        self._stop.set()
        for serving in self._servings.values():
            serving.close()

    def state(self, name: str) -> ModelState:
        """Return what is known of the model; the first question looks at once."""
        self._known(name)
        return self._states.get(name) or self.poll(name)

    def newest(self, name: str, deadline: Deadline) -> LiveModel:
        """Return the newest available version, or raise why there is none."""
        self._known(name)
        state = self._states.get(name) or self.poll(name, deadline)
        if state.newest is None:
            raise state.problem or ModelNotReady(_not_ready(name, state.versions))
        return state.newest

    def pinned(self, name: str, version: int, deadline: Deadline) -> LiveModel:
        """Return a version that the caller chose, or raise UnknownVersion."""
        self._known(name)
        try:
            if version > BIGGEST_VERSION:
                raise ServableGone("Version numbers have 63 bits.")
            return self._live(name, version, deadline)
        except ServableGone as error:
            raise UnknownVersion(f"Model {name} has no available version {version}.") from error

    def labelled(self, name: str, label: str, deadline: Deadline) -> LiveModel:
        """Return the version that a version label points at, or raise UnknownVersion."""
        self._known(name)
        try:
            version = self._servings[name].label_version(name, label, deadline)
            return self._live(name, version, deadline)
        except ServableGone as error:
            raise UnknownVersion(f"Model {name} has no version labelled {label!r}.") from error

    def poll(self, name: str, deadline: Deadline | None = None) -> ModelState:
        """Ask Serving for the model's versions now and remember the answer.

        Who waits while another asks takes the other's answer: nobody queues behind a slow Serving.
        """
        before = self._states.get(name)
        with self._turn_to_poll(name, deadline):
            since = self._states.get(name)
            if since is not None and since is not before:
                return since
            limit = (
                Deadline(POLL_TIMEOUT_S) if deadline is None else deadline.within(POLL_TIMEOUT_S)
            )
            state = self._poll(name, limit) or self._poll(name, limit) or ModelState()
            _log_change(name, self._states.get(name), state)
            self._states[name] = state
            return state

    @contextmanager
    def _turn_to_poll(self, name: str, deadline: Deadline | None) -> Iterator[None]:
        looking = self._polling[name]
        if deadline is None:
            looking.acquire()
        elif not looking.acquire(timeout=deadline.left()):
            raise deadline.passed()
        try:
            yield
        finally:
            looking.release()

    def _watch(self, names: list[str], interval_s: float) -> None:
        while not self._stop.is_set():
            for name in names:
                try:
                    self.poll(name)
                except Exception:  # a defect must not end the watch over all models
                    log.exception("model %s: looking for its versions failed", name)
            self._stop.wait(interval_s)

    def _poll(self, name: str, deadline: Deadline) -> ModelState | None:
        """Return what Serving says now; None when a version went while it was being asked."""
        try:
            versions = tuple(self._servings[name].status(name, deadline))
        except ServableGone:
            versions = ()
        except ServingFault as error:
            return self._trouble(name, error)
        available = [status.version for status in versions if status.state == AVAILABLE]
        self._forget(name, set(available))
        try:
            newest = self._live(name, max(available), deadline) if available else None
        except ServableGone:
            return None
        except ServingFault as error:
            return ModelState(versions, problem=error)
        return ModelState(versions, newest)

    def _trouble(self, name: str, problem: ServingFault) -> ModelState:
        """Keep what was live, since a busy Serving may still answer, but ask for specs again."""
        before = self._states.get(name, ModelState())
        self._forget(name, set())
        return ModelState(before.versions, before.newest, problem)

    def _live(self, name: str, version: int, deadline: Deadline) -> LiveModel:
        live = self._specs.get((name, version))
        if live is None:
            batcher = self._batchers[name]
            live = read_live_model(
                self._entries[name], version, self._servings[name], batcher, deadline
            )
            self._specs[name, version] = live
        return live

    def _forget(self, name: str, available: set[int]) -> None:
        """Drop specs of versions that are gone: their number may come back with another model."""
        for key in [k for k in list(self._specs) if k[0] == name and k[1] not in available]:
            self._specs.pop(key, None)

    def _known(self, name: str) -> None:
        if name not in self._entries:
            known = ", ".join(self.names)
            raise UnknownModel(f"There is no model {shown(name)}; known are {known}.")


def _log_change(name: str, before: ModelState | None, after: ModelState) -> None:
    """Log what an operator must know, once."""
    if before is None or _brief(before) != _brief(after):
        level = logging.INFO if after.ready else logging.WARNING
        log.log(level, "model %s: %s", name, _brief(after))


def _brief(state: ModelState) -> str:
    if state.problem is not None:
        return f"{state.problem.code}: {state.problem}"
    return f"version {state.newest.version} is live" if state.newest else "no available version"


def _not_ready(name: str, versions: tuple[VersionStatus, ...]) -> str:
    states = ", ".join(f"{v.version} {v.state}" for v in versions) or "none"
    return f"Model {name} has no available version; Serving's versions are: {states}."
