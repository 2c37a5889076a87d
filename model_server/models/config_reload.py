"""Apply model configurations, at the start and whenever the model config file is read again.

All labels are checked before anything changes.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from model_server.errors import ModelServerError
from model_server.internal_errors import as_internal_error
from model_server.models.config_file import read_models
from model_server.models.lifecycle import Lifecycle
from model_server.models.registry import Registry, check_label
from model_server.models.versions import ModelConfig

logger = logging.getLogger(__name__)


class Configuration:
    """Applies the configured models to the lifecycle and their labels to the registry."""

    def __init__(
        self, registry: Registry, lifecycle: Lifecycle, *, labels_before_load: bool
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._labels_before_load = labels_before_load
        self._stopped = threading.Event()

    def apply(self, configs: list[ModelConfig]) -> None:
        """Replace the configured models.

        Raises FailedPrecondition and changes nothing if a label may not point at its version.
        """
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
        if configs:
            self._registry.set_labels({c.name: c.labels or {} for c in configs})

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
                    self.apply(read_models(path))
            except ModelServerError as error:
                logger.error("The config file %s is not applied: %s", path, error)
