"""The entries of the models file that the Serving of a run serves, and their versions."""

from __future__ import annotations

from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.folders import version_folders
from model_catalog.installation import is_checkout
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile, load_models_file
from orchestrator.errors import UsageError
from orchestrator.resolved_options import ResolvedOptions


def load_models(options: ResolvedOptions) -> ModelsFile:
    """Load the models file of a run; raise UsageError if its Serving cannot use the file."""
    try:
        models = load_models_file(options.models_file)
        require_servable(options.kind, models)
    except CatalogError as error:
        raise UsageError(explained(error, options.models_file, options.root)) from error
    return models


def require_servable(kind: str, models: ModelsFile) -> None:
    """Raise CatalogError if this kind of Serving cannot serve the models."""
    if kind != "none":
        models.require_folders()
    if kind not in {"none", "embedded"}:
        models.refuse_logging()


def explained(error: CatalogError, models_file: Path, root: Path) -> str:
    """Return the sentence of an error; for a models file that is not there, what to do.

    ``root`` is the folder of the code.
    """
    if not isinstance(error.__cause__, FileNotFoundError):
        return str(error)
    write, try_it = "as docs/models_file.md says", ""
    if not is_checkout(root):  # an installed package has no docs/
        write = "with serving-gateway models add NAME FOLDER"
        try_it = ", or try serving-gateway demo, which brings a model"
    return (
        f"The models file {models_file} cannot be read, as it does not exist: write one {write}, "
        f"name another with --models-file{try_it}."
    )


def served_entries(kind: str, models: ModelsFile) -> list[ModelEntry]:
    """Return the models that this run's Serving serves; none where Serving is started elsewhere."""
    local = [entry for entry in models.entries if entry.serving_url is None]
    return [] if kind == "none" else local


def configured_versions(entry: ModelEntry) -> set[int]:
    """Return the versions in the model's folder that Serving is to serve."""
    try:
        found = set(version_folders(entry.base_path))
    except OSError:  # it is not there, or may not be read
        return set()
    return found if isinstance(entry.versions, str) else found & set(entry.versions)


def folder_in_container(entry: ModelEntry) -> str:
    """Return where a container of Serving has the folder of a model."""
    return f"/models/{entry.name}"
