"""What gunicorn's master has started with, and its workers inherit by their fork.

A file that breaks later must not keep a worker from starting: gunicorn would end altogether. So
workers serve the models that the master knows, until a reload finds a good file.
"""

from __future__ import annotations

from pathlib import Path

from flask_server.access import authentication
from flask_server.imaging import resizing
from flask_server.settings import Settings
from model_catalog.models_file import ModelsFile, load_models_file

_models_file: ModelsFile | None = None


def start(settings: Settings) -> None:
    """Read and check what workers need, or raise the SettingsError or CatalogError that says why.

    A reload that fails so leaves what was good before.
    """
    global _models_file
    models_file = load_models_file(settings.models_file)
    authentication.check(settings)
    resizing.resizer(fast=settings.fast_resize)
    _models_file = models_file


def has_started() -> bool:
    """Tell whether this process is a master that has started, or one of its workers."""
    return _models_file is not None


def models_file(path: Path) -> ModelsFile:
    """Return the models file that the master has read; read it where there is no master."""
    if _models_file is not None and _models_file.path == path.absolute():
        return _models_file
    return load_models_file(path)
