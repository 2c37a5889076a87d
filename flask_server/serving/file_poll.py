"""Take up a changed models file while the gateway runs; each worker polls the file by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from flask_server.serving.connect import MissingPackage, check_packages
from flask_server.serving.models import Models
from model_catalog.errors import CatalogError
from model_catalog.models_file import ModelsFile
from model_catalog.models_file_watch import ModelsFileWatch, changes, require_folders_here

log = logging.getLogger(__name__)


class FilePoll:
    """Polls the models file and hands its models over; a wrong file changes nothing."""

    def __init__(self, file: ModelsFile, models: Models) -> None:
        self._models = models
        self._watch = ModelsFileWatch(file, _check(file))

    def start(self, interval_s: float) -> None:
        """Poll the file every ``interval_s`` seconds, in a thread, until the models are stopped."""
        threading.Thread(
            target=self._keep_polling, args=(interval_s,), name="models-file", daemon=True
        ).start()

    def poll(self) -> None:
        """Read the file if it has changed, hand its models over, and log each change once."""
        try:
            self._read()
        finally:  # last, as it fails while no thread can be started
            self._models.start_missing()

    def _read(self) -> None:
        before = self._watch.models
        if not self._watch.poll():
            return
        file = self._watch.models
        problem = self._watch.problem
        # Callers need not know where the file and the model servers are.
        told = self._watch.problem_for_clients
        self._models.file_problem = told and told.replace(f"{file.path.parent}/", "")
        if problem:
            log.error("The changed models file is not used: %s", problem)
            return
        self._models.configure(file.entries)
        log.info("models file: %s", "; ".join(changes(before, file)) or "no difference")

    def _keep_polling(self, interval_s: float) -> None:
        while not self._models.wait(interval_s):
            try:
                self.poll()
            except Exception:  # an internal error must not end the polling
                log.exception("polling the models file failed")


def _check(before: ModelsFile) -> Callable[[ModelsFile], None]:
    """Return the check of a changed file: its folders, and the packages for its addresses."""
    require_folders = require_folders_here(before)

    def check(file: ModelsFile) -> None:
        require_folders(file)
        try:
            check_packages([entry.serving_url for entry in file.entries])
        except MissingPackage as error:
            raise CatalogError(str(error), for_clients=error.for_clients) from error

    return check
