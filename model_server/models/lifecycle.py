"""Keep the right versions in memory: look at the folders, load before unloading, retry, drain.

One thread looks and decides; each load and each unload runs in a thread of its own, so a slow or
broken model never holds up another one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from model_server.engines.protocol import LoadedModel
from model_server.errors import ModelServerError, Unknown
from model_server.internal_errors import contained
from model_server.models.registry import Registry, Servable, State
from model_server.models.versions import ModelConfig, versions_on_disk

logger = logging.getLogger(__name__)

Load = Callable[[str, Path], LoadedModel]


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleOptions:
    """How folders are watched and loads are tried."""

    poll_s: float = 1.0
    """Time between two looks at the folders; 0 looks once, a negative value never."""

    max_retries: int = 5
    """How often a failed load is tried again."""

    retry_s: float = 60.0
    """Time between two tries."""

    load_threads: int = 8
    """How many versions are loaded at the same time."""


@dataclass
class _Watched:
    """One configured model and what is wanted of it."""

    config: ModelConfig
    wanted: dict[int, Path] = field(default_factory=dict)


class Lifecycle:
    """Brings the registry in line with the configuration and the folders."""

    def __init__(self, registry: Registry, load: Load, options: LifecycleOptions) -> None:
        self._registry = registry
        self._load = load
        self._options = options
        self._room = threading.Semaphore(options.load_threads)
        self._changed = threading.Condition()
        self._watched: dict[str, _Watched] = {}
        self._stopped = False

    def configure(self, configs: Iterable[ModelConfig]) -> None:
        """Replace the set of models; those that are left out are unloaded."""
        with self._changed:
            before, self._watched = self._watched, {}
            for config in configs:
                watched = before.pop(config.name, None) or _Watched(config)
                watched.config = config
                self._watched[config.name] = watched
            for left_out in before.values():
                self._let_go(left_out)
        if self._options.poll_s >= 0:
            self.look()

    def _let_go(self, watched: _Watched) -> None:
        """Unload a model that is configured no more; should it come back, all may be tried."""
        watched.wanted = {}
        self._settle(watched)
        for servable in self._registry.servables(watched.config.name):
            servable.is_forgiven = True

    def start(self) -> None:
        """Look at the folders from time to time, in a thread."""
        if self._options.poll_s > 0:
            threading.Thread(target=self._keep_looking, name="watch folders", daemon=True).start()

    def stop(self) -> None:
        """Look no more and try no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def look(self) -> None:
        """Look at every model's folder once and act on what is there."""
        with self._changed:
            for watched in self._watched.values():
                _look_at(watched)
                self._settle(watched)
            self._changed.notify_all()

    def wait_until_ready(self) -> None:
        """Wait until the models can be asked; raise Unknown if one of them cannot be loaded.

        Models without any version folder, and models whose load is being tried again, keep nobody
        waiting as long as another model is there.
        """
        self._registry.wait_for(self._is_settled)
        failed = [s for watched in self._watched.values() for s in self._failures(watched)]
        if failed:
            details = "".join(f"{{{s} due to error: {s.error}}}, " for s in failed)
            raise Unknown(f"{len(failed)} servable(s) did not become available: {{{details}}}")

    def _is_settled(self) -> bool:
        if not self._watched:
            return True
        present = [watched for watched in self._watched.values() if watched.wanted]
        if any(self._failures(watched) for watched in present):
            return True
        available = [watched for watched in present if self._has(watched, State.AVAILABLE)]
        waiting = [
            watched
            for watched in present
            if watched not in available and not self._is_tried_again(watched)
        ]
        return bool(available) and not waiting

    def _versions(self, watched: _Watched) -> list[Servable]:
        servables = self._registry.servables(watched.config.name)
        return [servable for servable in servables if servable.version in watched.wanted]

    def _has(self, watched: _Watched, state: State) -> bool:
        return any(servable.state is state for servable in self._versions(watched))

    def _is_tried_again(self, watched: _Watched) -> bool:
        return any(servable.failed_tries for servable in self._versions(watched))

    def _failures(self, watched: _Watched) -> list[Servable]:
        """Return the versions of a model, if all that are wanted have failed for good."""
        versions = self._versions(watched)
        failed = [servable for servable in versions if servable.error is not None]
        return failed if versions and len(failed) == len(versions) else []

    def _keep_looking(self) -> None:
        while not self._pause(self._options.poll_s, lambda: False):
            with suppress(ModelServerError), contained("looking at the folders"):
                self.look()

    def _pause(self, seconds: float, over: Callable[[], bool]) -> bool:
        """Wait; tell whether the wait ended before its time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stopped or over(), max(seconds, 0))

    def _settle(self, watched: _Watched) -> None:
        """Start the loads and unloads that bring a model in line with what is wanted."""
        servables = {s.version: s for s in self._registry.servables(watched.config.name)}
        for version, path in sorted(watched.wanted.items(), reverse=True):
            if version not in servables or servables[version].may_load_again:
                self._start_loading(Servable(watched.config.name, version), path, watched)
        ready = {v for v, s in servables.items() if s.state is State.AVAILABLE}
        if watched.wanted and not ready & watched.wanted.keys():
            return
        for version in sorted(ready - watched.wanted.keys()):
            self._start_unloading(servables[version])

    def _start_loading(self, servable: Servable, path: Path, watched: _Watched) -> None:
        self._registry.add(servable)
        _in_thread(f"load {servable}", self._bring_up, servable, path, watched)

    def _start_unloading(self, servable: Servable) -> None:
        self._registry.move(servable, State.UNLOADING, model=servable.model)
        _in_thread(f"unload {servable}", self._take_down, servable)

    def _bring_up(self, servable: Servable, path: Path, watched: _Watched) -> None:
        """Load a version, trying again as often as the options say."""
        error = self._try_to_load(servable, path)
        tries_left = self._options.max_retries
        while (
            error
            and tries_left
            and not self._pause(
                self._options.retry_s, lambda: servable.version not in watched.wanted
            )
        ):
            error = self._try_to_load(servable, path)
            tries_left -= 1
        if error:
            self._registry.move(servable, State.END, error=error)
        with self._changed:
            self._settle(watched)

    def _try_to_load(self, servable: Servable, path: Path) -> ModelServerError | None:
        with self._room:
            self._registry.move(servable, State.LOADING)
            try:
                model = self._load(servable.name, path)
            except ModelServerError as error:
                logger.error("Servable %s cannot be loaded: %s", servable, error)
                servable.failed_tries += 1
                self._registry.move(servable, State.LOADING)
                return error
        logger.info("Successfully loaded servable version %s", servable)
        self._registry.move(servable, State.AVAILABLE, model=model)
        return None

    def _take_down(self, servable: Servable) -> None:
        """Unload a version as soon as nobody uses it."""
        model = self._registry.retire(servable)
        if model is not None:
            model.close()
        self._registry.move(servable, State.END)
        logger.info("Done unloading servable version %s", servable)
        with self._changed:
            watched = self._watched.get(servable.name)
            if watched is not None:
                self._settle(watched)


def _look_at(watched: _Watched) -> None:
    config = watched.config
    try:
        found = versions_on_disk(config.base_path)
    except OSError as error:
        logger.warning("The base path of model %s cannot be read: %s", config.name, error)
        return
    if not found:
        logger.warning(
            "No versions of model %s found under base path %s."
            " Did you forget to name your leaf directory as a number (eg. '/1/')?",
            config.name,
            config.base_path,
        )
    watched.wanted = {version: found[version] for version in config.policy.choose(found)}


def _in_thread(name: str, work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, name=name, daemon=True).start()
