"""Configuration that gunicorn's parent process loads before the fork and its workers inherit.

A configuration file that breaks later must not keep a worker from starting, because gunicorn would
then exit. So workers use the models file that the parent process has loaded last where the present
one is wrong. The parent process reads it again before each fork.
"""

from __future__ import annotations

from pathlib import Path

from flask_server.access import authentication
from flask_server.imaging import resizing
from flask_server.serving.connect import check_packages
from flask_server.serving.tls import TlsFiles, check_files
from flask_server.settings import Settings
from model_catalog.errors import CatalogError
from model_catalog.models_file import ModelsFile, load_models_file

_models_file: ModelsFile | None = None


def start(settings: Settings) -> None:
    """Read and check the files that workers need.

    Raises SettingsError or CatalogError; the configuration loaded before then stays in use.
    """
    global _models_file
    models_file = load_models_file(settings.models_file)
    authentication.check(settings)
    resizing.resizer(settings.fast_resize)
    check_files(TlsFiles.of(settings))
    check_packages([settings.serving_url, *(entry.serving_url for entry in models_file.entries)])
    _models_file = models_file


def has_started() -> bool:
    """Return whether this process or its parent has loaded its configuration."""
    return _models_file is not None


def refresh() -> None:
    """Read a preloaded models file again; a file that is wrong now changes nothing."""
    global _models_file
    if _models_file is not None:
        _models_file = models_file(_models_file.path)


def models_file(path: Path) -> ModelsFile:
    """Return the models file, or raise CatalogError.

    Where the file is wrong now, the one that was preloaded for this path is returned.
    """
    try:
        return load_models_file(path)
    except CatalogError:
        if _models_file is not None and _models_file.path == path.absolute():
            return _models_file
        raise
