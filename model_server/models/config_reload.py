"""Apply model configurations: at the start, from the config file, and on request.

Everything is checked before anything changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from model_server.errors import DeadlineExceeded, ModelServerError, Unknown
from model_server.internal_errors import as_internal_error
from model_server.models.config_file import models_of, read_models
from model_server.models.lifecycle import Lifecycle
from model_server.models.registry import Registry, State, check_label
from model_server.models.versions import ModelConfig
from serving_api.messages import Message

logger = logging.getLogger(__name__)

#: How often a call that waits for models checks whether its caller is still there.
_POLL_S: Final = 0.5


class Configuration:
    """Applies the configured models to the lifecycle and their labels to the registry."""

    def __init__(
        self,
        registry: Registry,
        lifecycle: Lifecycle,
        *,
        labels_before_load: bool,
        on_change: Callable[[Sequence[ModelConfig]], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._labels_before_load = labels_before_load
        self._on_change = on_change
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._models: Sequence[ModelConfig] = ()

    @property
    def models(self) -> Sequence[ModelConfig]:
        """The configured models."""
        return self._models

    def apply(self, configs: list[ModelConfig]) -> None:
        """Replace the configured models.

        Raises FailedPrecondition and changes nothing if a label may not point at its version.
        """
        with self._lock:
            self._apply(configs)

    def _apply(self, configs: list[ModelConfig]) -> None:
        for config in configs:
            for label, version in (config.labels or {}).items():
                check_label(
                    self._registry,
                    config.name,
                    label,
                    version,
                    before_load=self._labels_before_load,
                )
        self._lifecycle.configure(configs)
        if configs or self._models:
            self._registry.set_labels({c.name: c.labels or {} for c in configs})
        self._models = configs
        self._on_change(configs)

    def reload(
        self,
        config_list: Message,
        timeout_s: float,
        is_wanted: Callable[[], bool],
    ) -> None:
        """Replace the configured models by those of a ModelConfigList; wait until they can serve.

        Models that were configured before are not waited for. Raises a ModelServerError and changes
        nothing if the list is invalid; Unknown if new models cannot be loaded; DeadlineExceeded
        with the state of each new model after ``timeout_s``, or once ``is_wanted`` returns false.
        """
        end = monotonic() + timeout_s
        with self._lock:
            before = {config.name: config for config in self._models}
            configs = models_of(config_list, before.keys())
            self._apply(configs)
        logger.info("The configuration has been replaced: %s", change(before.values(), configs))
        new = [config.name for config in configs if config.name not in before]
        while not self._registry.wait_for(
            lambda: all(map(self._has_settled, new)), min(_POLL_S, max(end - monotonic(), 0))
        ):
            if monotonic() >= end or self._stopped.is_set() or not is_wanted():
                raise DeadlineExceeded(self._unsettled(new))
        self._check_loaded(new)

    def _has_settled(self, model: str) -> bool:
        """Return whether a model serves, has failed, or is no longer configured."""
        if all(config.name != model for config in self._models):
            return True
        states = {servable.state for servable in self._lifecycle.aspired(model)}
        return State.AVAILABLE in states or states == {State.END}

    def _unsettled(self, models: Sequence[str]) -> str:
        waiting = [model for model in models if not self._has_settled(model)]
        states = ", ".join(f"{model}: {self._state_text(model)}" for model in waiting)
        return (
            f"The configuration is in force, but {len(waiting)} model(s) cannot serve yet: {states}"
        )

    def _state_text(self, model: str) -> str:
        servables = self._lifecycle.aspired(model)
        if not servables:
            return "no version found under the base path"
        return " ".join(
            f"version {servable.version} {servable.state.value}" for servable in servables
        )

    def _check_loaded(self, models: Sequence[str]) -> None:
        failed = [
            servable
            for versions in map(self._lifecycle.aspired, models)
            if not any(each.state is State.AVAILABLE for each in versions)
            for servable in versions
        ]
        if failed:
            details = "".join(f"{{{s} due to error: {s.error}}}, " for s in failed)
            raise Unknown(f"{len(failed)} model(s) did not become available: {{{details}}}")

    def watch_file(self, path: Path, every_s: float) -> None:
        """Read and apply the file at this interval, in a thread; a bad file changes nothing."""
        arguments = (path, every_s)
        threading.Thread(
            target=self._watch_file, args=arguments, name="config", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop reading the file."""
        self._stopped.set()

    def _watch_file(self, path: Path, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            try:
                with as_internal_error(f"applying the config file {path}"):
                    self.apply(read_models(path, [config.name for config in self._models]))
            except ModelServerError as error:
                logger.error("The config file %s is not applied: %s", path, error)


def change(before: Iterable[ModelConfig], after: Iterable[ModelConfig]) -> str:
    """Return the names of added, removed and changed models, for the log."""
    old = {config.name: config for config in before}
    new = {config.name: config for config in after}
    groups = {
        "added": new.keys() - old.keys(),
        "removed": old.keys() - new.keys(),
        "changed": {name for name in new.keys() & old.keys() if new[name] != old[name]},
    }
    parts = [f"{verb} {', '.join(sorted(names))}" for verb, names in groups.items() if names]
    return "; ".join(parts) or "nothing has changed"
