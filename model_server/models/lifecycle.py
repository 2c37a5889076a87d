"""Keep the aspired versions of every model loaded: poll folders, load, retry, drain, unload.

A version is aspired if it exists on disk and the model's version policy selects it. An old version
is unloaded only after a new one has become available. One thread polls the folders; each load and
each unload runs in a thread of its own, so a slow or broken model never delays another one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from model_server.engines.protocol import LoadedModel
from model_server.errors import ModelServerError, ResourceExhausted, Unknown
from model_server.internal_errors import as_internal_error
from model_server.models.registry import Registry, Servable, State
from model_server.models.versions import ModelConfig, versions_on_disk

logger = logging.getLogger(__name__)

Load = Callable[[Path], LoadedModel]

#: What Python raises where the process or its user may start no more threads.
_NO_THREAD: Final = (RuntimeError, MemoryError)


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleOptions:
    """How often folders are polled and loads are retried."""

    poll_s: float = 1.0
    """Seconds between two polls of the folders; 0 polls once, a negative value never."""

    max_retries: int = 5
    """Number of retries after the first failed load; 0 or less means none."""

    retry_s: float = 60.0
    """Seconds between two load attempts."""

    load_threads: int = 8
    """Maximum number of versions that load at the same time."""

    allow_unavailable: bool = False
    """Whether the start goes on without models that have no version, and without those whose
    versions have all failed unless those of every model have."""


@dataclass
class _ConfiguredModel:
    """One configured model and its aspired versions with their folders."""

    config: ModelConfig
    aspired: dict[int, Path] = field(default_factory=dict)


class Lifecycle:
    """Loads and unloads versions until the registry holds the aspired ones."""

    def __init__(self, registry: Registry, load: Load, options: LifecycleOptions) -> None:
        self._registry = registry
        self._load = load
        self._options = options
        self._load_slots = threading.Semaphore(options.load_threads)
        self._changed = threading.Condition()
        self._models: dict[str, _ConfiguredModel] = {}
        self._removed: dict[str, _ConfiguredModel] = {}
        """Models that are no longer configured and may still have versions."""

        self._stopped = False

    def configure(self, configs: Iterable[ModelConfig]) -> None:
        """Replace the configured models; models that are no longer listed are unloaded."""
        with self._changed:
            before, self._models = self._models, {}
            for config in configs:
                configured = before.pop(config.name, None) or _ConfiguredModel(config)
                configured.config = config
                self._models[config.name] = configured
                self._removed.pop(config.name, None)
            for removed in before.values():
                self._unload_all(removed)
            self._removed |= before
        if self._options.poll_s >= 0:
            self.poll()

    def _unload_all(self, configured: _ConfiguredModel) -> None:
        """Unload a removed model; if it is configured again, failed versions are loaded anew."""
        configured.aspired = {}
        self._reconcile(configured)
        for servable in self._registry.servables(configured.config.name):
            servable.may_retry = True

    def aspired(self, model: str) -> list[Servable]:
        """Return the versions of a model that are to be served, the highest first."""
        configured = self._models.get(model)
        return [] if configured is None else self._versions(configured)

    def start(self) -> None:
        """Start polling the folders, in a thread."""
        if self._options.poll_s > 0:
            threading.Thread(
                target=self._poll_until_stopped, name="watch folders", daemon=True
            ).start()

    def stop(self) -> None:
        """Stop polling and retrying."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def poll(self) -> None:
        """Read every model's folder once, and start the loads and unloads that follow."""
        with self._changed:
            for configured in self._models.values():
                _read_aspired(configured)
                self._reconcile(configured)
            self._finish_removals()
            self._changed.notify_all()

    def _finish_removals(self) -> None:
        """Unload the versions of removed models for which no thread could be started before."""
        for name, removed in list(self._removed.items()):
            servables = self._registry.servables(name)
            if all(servable.state is State.END for servable in servables):
                del self._removed[name]
            else:
                self._reconcile(removed)

    def wait_until_ready(self) -> None:
        """Wait until the models are available; raise Unknown if all versions of one have failed.

        Once one model is available, models without a version folder and models whose load is being
        retried are not waited for. With ``allow_unavailable``, Unknown is raised only if all
        versions of every model have failed, and without any version folder nothing is waited for.
        """
        self._registry.wait_for(self._is_startup_over)
        failed = self._fatal_failures()
        if failed:
            details = "".join(f"{{{s} due to error: {s.error}}}, " for s in failed)
            raise Unknown(f"{len(failed)} servable(s) did not become available: {{{details}}}")

    def _is_startup_over(self) -> bool:
        if not self._models:
            return True
        if self._fatal_failures():
            return True
        present = self._present()
        if not present:
            return self._options.allow_unavailable
        available = [configured for configured in present if self._has(configured, State.AVAILABLE)]
        waiting = [
            configured
            for configured in present
            if configured not in available
            and not self._has_failed_attempts(configured)
            and not self._failures(configured)
        ]
        return bool(available) and not waiting

    def _fatal_failures(self) -> list[Servable]:
        """Return the failed versions that end the start."""
        failures = [self._failures(configured) for configured in self._present()]
        if self._options.allow_unavailable and not all(failures):
            return []
        return [servable for failed in failures for servable in failed]

    def _present(self) -> list[_ConfiguredModel]:
        """Return the models that have a version to serve."""
        return [configured for configured in self._models.values() if configured.aspired]

    def _versions(self, configured: _ConfiguredModel) -> list[Servable]:
        servables = self._registry.servables(configured.config.name)
        return [servable for servable in servables if servable.version in configured.aspired]

    def _has(self, configured: _ConfiguredModel, state: State) -> bool:
        return any(servable.state is state for servable in self._versions(configured))

    def _has_failed_attempts(self, configured: _ConfiguredModel) -> bool:
        return any(servable.failed_attempts for servable in self._versions(configured))

    def _failures(self, configured: _ConfiguredModel) -> list[Servable]:
        """Return the aspired versions of a model if all of them have failed for good, else none."""
        versions = self._versions(configured)
        failed = [servable for servable in versions if servable.error is not None]
        return failed if versions and len(failed) == len(versions) else []

    def _poll_until_stopped(self) -> None:
        while not self._wait(self._options.poll_s, lambda: False):
            with suppress(ModelServerError), as_internal_error("polling the model folders"):
                self.poll()

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> bool:
        """Wait; return True if a stop or the condition ended the wait early."""
        with self._changed:
            limit_s = min(max(seconds, 0), threading.TIMEOUT_MAX)
            return self._changed.wait_for(lambda: self._stopped or is_over(), limit_s)

    def _reconcile(self, configured: _ConfiguredModel) -> None:
        """Start the loads and unloads that a model needs to reach its aspired versions."""
        servables = {s.version: s for s in self._registry.servables(configured.config.name)}
        for version, path in sorted(configured.aspired.items(), reverse=True):
            if version not in servables or servables[version].may_load_again:
                self._start_loading(Servable(configured.config.name, version), path, configured)
        ready = {v for v, s in servables.items() if s.state is State.AVAILABLE}
        if configured.aspired and not ready & configured.aspired.keys():
            return
        for version in sorted(ready - configured.aspired.keys()):
            self._start_unloading(servables[version])

    def _start_loading(self, servable: Servable, path: Path, configured: _ConfiguredModel) -> None:
        self._registry.add(servable)
        try:
            _start_thread(f"load {servable}", self._load_with_retries, servable, path, configured)
        except _NO_THREAD as error:
            logger.error("Servable %s cannot be loaded now: %s", servable, error)
            servable.may_retry = True
            lack = ResourceExhausted(f"No thread can be started for the load: {error}")
            self._registry.set_state(servable, State.END, error=lack)

    def _start_unloading(self, servable: Servable) -> None:
        self._registry.set_state(servable, State.UNLOADING, model=servable.model)
        try:
            _start_thread(f"unload {servable}", self._unload, servable)
        except _NO_THREAD as error:
            logger.error("Servable %s cannot be unloaded now: %s", servable, error)
            self._registry.set_state(servable, State.AVAILABLE, model=servable.model)

    def _load_with_retries(
        self, servable: Servable, path: Path, configured: _ConfiguredModel
    ) -> None:
        """Load a version, with as many retries as the options allow while it stays aspired."""
        error = self._attempt_load(servable, path)
        retries_left = self._options.max_retries
        while (
            error
            and retries_left > 0
            and not self._wait(
                self._options.retry_s, lambda: servable.version not in configured.aspired
            )
        ):
            error = self._attempt_load(servable, configured.aspired.get(servable.version, path))
            retries_left -= 1
        if error:
            self._registry.set_state(servable, State.END, error=error)
        with self._changed:
            # A model that was removed and configured again meanwhile has another object.
            self._reconcile(self._models.get(servable.name, configured))

    def _attempt_load(self, servable: Servable, path: Path) -> ModelServerError | None:
        with self._load_slots:
            self._registry.set_state(servable, State.LOADING)
            try:
                model = self._load(path)
            except ModelServerError as error:
                logger.error("Servable %s cannot be loaded: %s", servable, error)
                servable.failed_attempts += 1
                self._registry.set_state(servable, State.LOADING)
                return error
        logger.info("Successfully loaded servable version %s", servable)
        self._registry.set_state(servable, State.AVAILABLE, model=model)
        return None

    def _unload(self, servable: Servable) -> None:
        """Unload a version as soon as no request uses it."""
        model = self._registry.drain(servable)
        if model is not None:
            model.close()
        self._registry.set_state(servable, State.END)
        logger.info("Done unloading servable version %s", servable)
        with self._changed:
            configured = self._models.get(servable.name)
            if configured is not None:
                self._reconcile(configured)


def _read_aspired(configured: _ConfiguredModel) -> None:
    config = configured.config
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
    configured.aspired = {version: found[version] for version in config.policy.choose(found)}


def _start_thread(name: str, work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, name=name, daemon=True).start()
