"""Find the models file and the running instance for the options of a subcommand."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import auto_cmd
from model_catalog.errors import CatalogError
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile, load_models_file
from model_catalog.places import find_places
from orchestrator.errors import UsageError
from orchestrator.models.entries import explained
from orchestrator.run_dir import RunDir


@dataclass(frozen=True, slots=True)
class Instance:
    """A models file, and the state of the instance that serves its models."""

    models_file: Path

    running: Mapping[str, Any] | None
    """The state of the running instance; None where none serves these models."""

    def models(self) -> ModelsFile:
        """Read the models file, or raise UsageError."""
        try:
            return load_models_file(self.models_file)
        except CatalogError as error:
            text = explained(error, self.models_file, auto_cmd.ROOT)
            raise UsageError(text) from error

    def serving(self, entry: ModelEntry) -> str | None:
        """Return the root URL of the Serving of a model; None where none is known."""
        if entry.serving_url is not None or self.running is None:
            return entry.serving_url
        return str(self.running["serving"]["url"])

    @property
    def gateway_url(self) -> str | None:
        """Root URL of the running gateway, or None."""
        return str(self.running["children"]["gateway"]["url"]) if self.running else None


def instance_of(options: argparse.Namespace) -> Instance:
    """Return what ``--run-dir`` and ``--models-file`` mean."""
    places = find_places(auto_cmd.ROOT)
    run_dir = RunDir((options.run_dir or places.run).absolute())
    run_dir.require_readable()
    running = run_dir.running()
    told = Path((running or {}).get("models_file", places.models_file))
    path = Path(options.models_file or told)
    if not is_same_file(path, told):
        running = None  # the instance serves other models
    return Instance(path, running)


def is_same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to the same file, through links and parent folders too."""
    return one.resolve() == other.resolve()
