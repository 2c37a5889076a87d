"""All models of the models file, by name, and the threads that poll them.

The models can be replaced while requests run. Requests in progress keep their version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, UnknownModel
from flask_server.serving.golden_replay import ReplayOptions
from flask_server.serving.live_model import LiveModel
from flask_server.serving.model_state import ModelState
from flask_server.serving.model_watch import ModelWatch
from flask_server.serving.traffic import Traffic
from flask_server.serving.upstream import Serving, SingleServing
from model_catalog.errors import shown
from model_catalog.model_entry import ModelEntry

log = logging.getLogger(__name__)


class Models:
    """All configured models; methods with a name raise UnknownModel for one that is not there."""

    def __init__(
        self,
        entries: tuple[ModelEntry, ...],
        serving_at: Callable[[str | None], Serving],
        max_inflight_calls: int,
        replay_options: ReplayOptions,
    ) -> None:
        self.file_problem: str | None = None
        """Why the present models file is not used, without addresses; None when it is."""

        self._serving_at = serving_at
        self._max_inflight_calls = max_inflight_calls
        self._replay_options = replay_options
        self._changing = threading.Lock()
        self._watches: Mapping[str, ModelWatch] = {}
        self._not_ready_yet: frozenset[str] = frozenset()
        self._polled: set[Serving] = set()
        self._interval_s: float | None = None
        self._stop = threading.Event()
        self.configure(entries)
        self._not_ready_yet = frozenset()

    def configure(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the models; those whose description stays the same keep their state."""
        with self._changing:
            before = self._watches
            after = {entry.name: self._watch_for(entry) for entry in entries}
            _forget(before, after)
            self._watches = after
            self._not_ready_yet = (self._not_ready_yet | after.keys() - before.keys()) & (
                after.keys()
            )
            self._poll_new_servings()

    def _watch_for(self, entry: ModelEntry) -> ModelWatch:
        serving = self._serving_at(entry.serving_url)
        watch = self._watches.get(entry.name)
        if watch is not None and watch.serving is serving and watch.accept(entry):
            return watch
        return ModelWatch(entry, serving, self._max_inflight_calls, self._replay_options)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of the models file."""
        return tuple(self._watches)

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        return self.names[0]

    def faults(self) -> dict[str, ServingFault | None]:
        """Return, for each model that must be ready, why it is not, or None if it is.

        A model that was added while the gateway runs counts once it has been ready, so that adding
        one does not take the gateway out of a load balancer.
        """
        watches, new = self._watches, self._not_ready_yet
        faults = {name: watch.fault() for name, watch in watches.items()}
        ready = {name for name, fault in faults.items() if fault is None}
        if new & ready:
            with self._changing:
                self._not_ready_yet -= ready
        return {name: fault for name, fault in faults.items() if name not in new - ready}

    def start(self, interval_s: float) -> None:
        """Poll all models in the background every ``interval_s`` seconds, until ``stop``.

        Each Serving has its own thread, so that one that hangs does not delay the others.
        """
        with self._changing:
            self._interval_s = interval_s
            self._poll_new_servings()

    def start_missing(self) -> None:
        """Start what could not be started when the models were replaced."""
        with self._changing:
            self._poll_new_servings()

    def _poll_new_servings(self) -> None:
        """Start a thread for each Serving that has none; those without a model end by themselves.

        The caller holds the lock.
        """
        if self._interval_s is None:
            return
        for serving in self._servings() - self._polled:
            threading.Thread(
                target=self._keep_polling,
                args=(serving, self._interval_s),
                name="model-poll",
                daemon=True,
            ).start()
            self._polled.add(serving)  # not if no thread could be started

    def stop(self) -> None:
        """End the background threads after their current poll, and close the connections."""
        self._stop.set()
        for serving in self._servings():
            serving.close()

    def wait(self, seconds: float) -> bool:
        """Wait, at most until ``stop``; return whether that was called."""
        return self._stop.wait(seconds)

    def state(self, name: str) -> ModelState:
        """Return the result of the model's last poll; the first call polls."""
        return self._watch(name).state()

    def fault(self, name: str) -> ServingFault | None:
        """Return why the model is not ready, or None if it is."""
        return self._watch(name).fault()

    def chosen(self, name: str, point: float, deadline: Deadline) -> LiveModel:
        """Return the version for a point of the model's split; without a split, the newest."""
        return self._watch(name).chosen(point, deadline)

    def traffic(self, name: str) -> Traffic:
        """Return the split and shadow labels of the model at its last poll."""
        return self._watch(name).state().traffic

    def pinned(self, name: str, version: int, deadline: Deadline) -> LiveModel:
        """Return the version with this number, or raise UnknownVersion."""
        return self._watch(name).pinned(version, deadline)

    def labelled(self, name: str, label: str, deadline: Deadline) -> LiveModel:
        """Return the version that has this version label at Serving, or raise UnknownVersion."""
        return self._watch(name).labelled(label, deadline)

    def poll(self, name: str, deadline: Deadline | None = None) -> ModelState:
        """Ask Serving for the model's versions now, and store and return the new state."""
        return self._watch(name).poll(deadline)

    def _watch(self, name: str) -> ModelWatch:
        watches = self._watches
        if name not in watches:
            known = ", ".join(watches)
            raise UnknownModel(f"There is no model {shown(name)}; known are {known}.")
        return watches[name]

    def servers(self, name: str) -> tuple[SingleServing, ...]:
        """Return the servers of the model, in the order of its addresses."""
        return self._watch(name).serving.servers

    def _servings(self) -> set[Serving]:
        return {watch.serving for watch in self._watches.values()}

    def _keep_polling(self, serving: Serving, interval_s: float) -> None:
        """Poll the models of a Serving until it has none, or ``stop``."""
        while not self._stop.is_set():
            with self._changing:
                names = [name for name, w in self._watches.items() if w.serving is serving]
                if not names:
                    self._polled.discard(serving)
                    return
            for name in names:
                try:
                    self.poll(name)
                    self._watch(name).replay_golden_pictures()
                except UnknownModel:  # it was removed meanwhile
                    continue
                except Exception:  # an internal error must not end the polling of all models
                    log.exception("model %s: polling its versions failed", name)
            self._stop.wait(interval_s)


def _forget(before: Mapping[str, ModelWatch], after: Mapping[str, ModelWatch]) -> None:
    """Let each Serving forget the models that are added, get another folder, or are long removed.

    An added model may have been there earlier, with other labels under the same version. One that
    is removed now is kept until the next change, since requests in progress may need it.
    """
    for serving in {watch.serving for watch in after.values()}:
        serving.keep_only(
            {
                name
                for name, watch in before.items()
                if watch.serving is serving and after.get(name, watch).folder == watch.folder
            }
        )
