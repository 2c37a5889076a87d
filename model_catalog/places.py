"""Say where the models file, the models and the run folder lie.

A project is the nearest folder, at or above the current one, with a ``models.toml``; without one,
it is the checkout that the code lies in. Where there is no project, the files lie in the
folders that the platform has for the data of each user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_catalog.installation import CODE, is_checkout, require

MODELS_FILE = "models.toml"
_APP = "serving-gateway"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that the commands use unless an option names others."""

    project: Path | None
    """The project; None where the user's own folders are used."""

    models: Path
    """The folder of ``models.toml``; exports that name no other folder lie in it too."""

    run: Path
    """The run folder: state and logs of one instance."""

    @property
    def models_file(self) -> Path:
        """The models file; it need not exist."""
        return self.models / MODELS_FILE


def find_places(code: Path = CODE) -> Places:
    """Return the folders for the current folder; ``code`` is the one that the code lies in."""
    project = project_folder(code)
    if project is not None:
        return Places(project, project, project / ".run")
    return Places(None, user_data(), _user_state())


def project_folder(code: Path = CODE) -> Path | None:
    """Return the project that the current folder belongs to, else the checkout, else None."""
    for folder in _current_and_above():
        if os.path.isfile(folder / MODELS_FILE):  # Path.is_file raises where it may not look
            return folder
    return code if is_checkout(code) else None


def _current_and_above() -> Iterator[Path]:
    try:
        current = Path.cwd()
    except OSError:  # the current folder was removed
        return
    yield from (current, *current.parents)


def user_data() -> Path:
    """Return the user's folder for models, such as ``~/.local/share/serving-gateway``."""
    require("", "platformdirs")
    import platformdirs

    return platformdirs.user_data_path(_APP, appauthor=False)


def _user_state() -> Path:
    require("", "platformdirs")
    import platformdirs

    return platformdirs.user_state_path(_APP, appauthor=False) / "run"
