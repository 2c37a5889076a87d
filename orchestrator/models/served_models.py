"""The models of the models file, from the start of Serving through every change of the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile
from model_catalog.models_file_watch import ModelsFileWatch, changes
from orchestrator.child_specs import STATUS_PATH
from orchestrator.errors import UsageError
from orchestrator.models.config_file import ServingConfigFile
from orchestrator.models.entries import folder_in_container, load_models, require_servable
from orchestrator.models.model_readiness import ModelReadiness
from orchestrator.probe import ask
from orchestrator.problem import Problem
from orchestrator.resolved_options import ResolvedOptions
from orchestrator.serving_command import (
    BATCHING,
    BATCHING_CONFIG,
    MONITORING,
    MONITORING_CONFIG,
    ServingCommand,
    ServingOptions,
    serving_command,
)


class ServedModels:
    """The models of the models file, and the files of the Serving that this run starts."""

    def __init__(
        self,
        options: ResolvedOptions,
        models: ModelsFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._watch = ModelsFileWatch(models, partial(require_servable, options.kind))
        self._config = ServingConfigFile(options, models, clock)
        self._waiting: set[str] = set()
        self.readiness = ModelReadiness(options, clock)
        """What Serving and the gateway say about the models."""
        self.names = [entry.name for entry in models.entries]
        """All configured models; the list stays the same object."""
        self.facts: dict[str, Any] = {
            "models": self.names,
            "models_file": str(options.models_file),
            "models_file_problem": "",
        }
        """Entries of the state file; the dict stays the same object."""

    @property
    def entries(self) -> list[ModelEntry]:
        """The models that this run's Serving serves; none where Serving is started elsewhere."""
        return self._config.entries

    def refuse(self) -> Problem | None:
        """Return what is wrong with the models file; None when it can be used."""
        try:
            load_models(self._options)
        except UsageError as error:
            return Problem(str(error))
        return None

    def prepare_serving(self) -> None:
        """Read the models file again and write the files for a Serving that starts."""
        self._config.hold()
        try:
            if self._options.arguments.batching:
                text = BATCHING.format(threads=self._options.threads)
                self._options.run_dir.write_text(BATCHING_CONFIG, text)
            self._options.run_dir.write_text(MONITORING_CONFIG, MONITORING)
            self.take_up()
        finally:
            self._config.forget_loaded()
            self._config.write()

    def take_up(self) -> None:
        """Read the models file again and tell Serving the list.

        Raises UsageError if the file is wrong; the list of before then stays in use.
        """
        try:
            self._watch.accept(load_models(self._options))
            self._use()
        finally:
            self._config.write()

    def _use(self) -> None:
        """Adapt what is known of the models to the present file."""
        models = self._watch.models
        self.names[:] = [entry.name for entry in models.entries]
        self.facts["models_file_problem"] = self._watch.problem or ""
        self.readiness.forget()
        self._config.take_up(models)

    def serving_problem(self) -> Problem | None:
        """Return why the models are not served yet; None when each is available or broken."""
        if self._config.is_held:
            url = self._options.serving_url + STATUS_PATH
            if ask(url).status is None:
                return Problem(f"{url} does not answer")
            self._config.release()
        return self.readiness.serving_problem(self._config.with_version())

    def gateway_problem(self) -> Problem | None:
        """Return why the gateway cannot use the models yet; None when it can or never will."""
        is_elsewhere = self._options.kind == "none"
        names = self.names if is_elsewhere else self._config.with_version()
        return self.readiness.gateway_problem(names)

    def housekeep(self) -> list[str]:
        """Take up a changed models file and write the config file again if need be.

        Returns messages about the file and about what waits.
        """
        messages = list(self._poll_file())
        self._config.write()
        waiting = set(self._config.waits())
        messages += sorted(waiting - self._waiting)
        self._waiting = waiting
        return messages

    def _poll_file(self) -> Iterator[str]:
        before = self._watch.models
        if not self._watch.poll():
            return
        if self._watch.problem:
            self.facts["models_file_problem"] = self._watch.problem
            yield f"the changed models file is not used: {self._watch.problem}"
            return
        self._use()
        told = "; ".join(changes(before, self._watch.models))
        yield f"models file: {told or 'no difference to the one in use'}"

    def command(self) -> ServingCommand:
        """Return Serving's command line."""
        options = self._options
        if options.kind == "none":
            return ServingCommand(f"none started, the gateway asks {options.serving_url}")
        serving_options = ServingOptions(
            rest_port=options.arguments.serving_port,
            grpc_port=options.arguments.grpc_port,
            timeout_s=options.deadline_s,
            threads=options.threads,
            folder=options.run_dir.path,
            python=options.python,
            volumes={entry.base_path: folder_in_container(entry) for entry in self.entries},
            batching=options.arguments.batching,
            engine_flags=options.engine_flags,
        )
        return serving_command(options.kind, serving_options)
