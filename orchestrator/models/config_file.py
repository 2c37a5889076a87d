"""Write Serving's model config file, which the servers read again when it changes.

Some changes of the models file reach Serving in several steps; the file holds the present step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from model_catalog.installation import supervisor_command
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile
from model_catalog.serving_config import next_step, serving_config
from orchestrator.models.entries import configured_versions, folder_in_container, served_entries
from orchestrator.models.model_health import StatusRequests
from orchestrator.resolved_options import ResolvedOptions
from orchestrator.serving_command import CONFIG, GENUINE

#: Longest time until every process of the gateway has taken up a changed models file.
GATEWAY_POLLS_S = 5.0


class ServingConfigFile:
    """The model config file of the Serving that this run starts."""

    def __init__(
        self, options: ResolvedOptions, models: ModelsFile, clock: Callable[[], float]
    ) -> None:
        self._options = options
        self._models = models
        self._clock = clock
        self._removed: dict[str, tuple[ModelEntry, float]] = {}
        self._moved: set[str] = set()
        self._mounted = {entry.name: entry.base_path for entry in self.entries}
        self._configured: set[str] = set()
        self._labelled: dict[str, Mapping[str, int]] = {}
        self._is_held = False

    @property
    def entries(self) -> list[ModelEntry]:
        """The models that this run's Serving serves; none where Serving is started elsewhere."""
        return served_entries(self._options.kind, self._models)

    @property
    def is_held(self) -> bool:
        """Whether the list stays empty until Serving answers."""
        return self._is_held

    def with_version(self) -> list[str]:
        """Return the names of the models that have a version to serve."""
        return [entry.name for entry in self.entries if configured_versions(entry)]

    def hold(self) -> None:
        """Prepare for a Serving that starts, which has no labels yet.

        tensorflow_model_server exits when a model of its first list cannot be loaded, and reports
        such a model of a later list. So its first list is empty.
        """
        self._labelled = {}
        self._is_held = self._options.kind in GENUINE

    def release(self) -> None:
        """Write the list that was held back."""
        self._is_held = False
        self.write()

    def forget_loaded(self) -> None:
        """Forget which models were removed or got another folder; Serving starts without models."""
        self._removed = {}
        self._moved = set()

    def take_up(self, models: ModelsFile) -> None:
        """Use another list of models from the next ``write`` on."""
        before, self._models = self._models, models
        local = {entry.name: entry for entry in self.entries}
        for old in before.entries:
            if old.serving_url is not None:
                continue
            new = local.get(old.name)
            if new is None:
                self._removed[old.name] = (old, self._clock() + self._removal_s())
            elif new.base_path != old.base_path:
                self._moved.add(old.name)
        for name in self._removed.keys() & local.keys():
            entry, _ = self._removed.pop(name)
            if entry.base_path != local[name].base_path:
                self._moved.add(name)
        self._moved &= local.keys()

    def _removal_s(self) -> float:
        """Return how long Serving keeps a removed model, so that requests in flight are answered.

        The gateway takes no new requests for it after its next polls of the models file.
        """
        return self._options.deadline_s + GATEWAY_POLLS_S

    def write(self) -> None:
        """Write the file with what Serving is to serve now."""
        if self._options.kind == "none":
            return
        requests = StatusRequests(self._options.serving_url)
        self._settle_moves(requests)
        now = self._clock()
        self._removed = {n: (entry, end) for n, (entry, end) in self._removed.items() if end > now}
        # tensorflow_model_server loads nothing else while a configured model has no version, so
        # such a model is left out. A model that was configured once stays configured, even while
        # its folder cannot be read.
        embedded = self._options.kind == "embedded"
        ready = {entry.name for entry in self.entries} if embedded else set(self.with_version())
        leaving = [entry for entry, _ in self._removed.values()]
        self._configured = (self._configured & {e.name for e in (*self.entries, *leaving)}) | ready
        listed = [entry for entry in self.entries if self._is_listed(entry)]
        entries = [self._next_step(entry, requests) for entry in listed]
        entries += [entry for entry in leaving if self._is_listed(entry)]
        self._labelled = {entry.name: entry.version_labels for entry in entries}
        if self._options.kind == "docker":
            entries = [replace(e, base_path=Path(folder_in_container(e))) for e in entries]
        config = serving_config(replace(self._models, entries=tuple(entries)))
        self._options.run_dir.write_text(CONFIG, config)

    def _settle_moves(self, requests: StatusRequests) -> None:
        """Forget the moves of models that Serving has unloaded.

        Serving takes a version of the new base path for the loaded one of the same number, so the
        model is first left out of the config.
        """
        for name in tuple(self._moved):
            found = requests.versions(name)
            if requests.is_silent:
                return
            if found is None or set(found.states.values()) <= {"END"}:
                self._moved.discard(name)

    def _is_listed(self, entry: ModelEntry) -> bool:
        is_here = self._options.kind != "docker" or self._is_mounted(entry)
        is_waiting = self._is_held or entry.name in self._moved
        return entry.name in self._configured and is_here and not is_waiting

    def _is_mounted(self, entry: ModelEntry) -> bool:
        return self._mounted.get(entry.name) == entry.base_path

    def _next_step(self, entry: ModelEntry, requests: StatusRequests) -> ModelEntry:
        labelled = self._labelled.get(entry.name, {})
        if all(labelled.get(label, to) == to for label, to in entry.version_labels.items()):
            return entry
        found = requests.versions(entry.name)
        newest = max(configured_versions(entry), default=None)
        return next_step(entry, labelled, found.available if found else (), newest)

    def waits(self) -> Iterator[str]:
        """Return a sentence about each label and each model that Serving is not told of yet."""
        for entry in self.entries:
            labelled = self._labelled.get(entry.name, {})
            for label, version in entry.version_labels.items():
                if labelled.get(label, version) != version:
                    yield (
                        f"label {label} of model {entry.name} waits for version {version} to be "
                        "available"
                    )
        if self._options.kind == "docker":
            command = supervisor_command(self._options.root)
            for entry in self.entries:
                if not self._is_mounted(entry):
                    yield (
                        f"model {entry.name} is not served: its folder is not mounted in the "
                        f"container; stop and start ({command} stop)"
                    )
