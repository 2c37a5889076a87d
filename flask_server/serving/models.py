"""All models of the models file, by name, and the threads that poll them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault, UnknownModel
from flask_server.serving.client import Serving
from flask_server.serving.live_model import LiveModel
from flask_server.serving.model_watch import ModelState, ModelWatch
from model_catalog.errors import shown
from model_catalog.models_file import ModelEntry

log = logging.getLogger(__name__)


class Models:
    """All configured models; methods with a name raise UnknownModel for one that is not there."""

    def __init__(
        self,
        entries: tuple[ModelEntry, ...],
        serving_at: Callable[[str | None], Serving],
        max_inflight_calls: int,
    ) -> None:
        self._watches = {
            entry.name: ModelWatch(entry, serving_at(entry.serving_url), max_inflight_calls)
            for entry in entries
        }
        self._stop = threading.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of the models file."""
        return tuple(self._watches)

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        return self.names[0]

    def start(self, interval_s: float) -> None:
        """Poll all models in the background every ``interval_s`` seconds, until ``stop``.

        Each Serving has its own thread, so that one that hangs does not delay the others.
        """
        for serving in self._servings():
            names = [name for name, watch in self._watches.items() if watch.serving is serving]
            threading.Thread(
                target=self._keep_polling, args=(names, interval_s), name="model-poll", daemon=True
            ).start()

    def stop(self) -> None:
        """End the background threads after their current poll, and close the connections."""
        self._stop.set()
        for serving in self._servings():
            serving.close()

    def state(self, name: str) -> ModelState:
        """Return the result of the model's last poll; the first call polls."""
        return self._watch(name).state()

    def fault(self, name: str) -> ServingFault | None:
        """Return why the model is not ready, or None if it is."""
        return self._watch(name).fault()

    def newest(self, name: str, deadline: Deadline) -> LiveModel:
        """Return the newest available version, or raise the ServingFault that explains why not."""
        return self._watch(name).newest(deadline)

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
        if name not in self._watches:
            known = ", ".join(self.names)
            raise UnknownModel(f"There is no model {shown(name)}; known are {known}.")
        return self._watches[name]

    def _servings(self) -> set[Serving]:
        return {watch.serving for watch in self._watches.values()}

    def _keep_polling(self, names: Sequence[str], interval_s: float) -> None:
        while not self._stop.is_set():
            for name in names:
                try:
                    self.poll(name)
                except Exception:  # an internal error must not end the polling of all models
                    log.exception("model %s: polling its versions failed", name)
            self._stop.wait(interval_s)
