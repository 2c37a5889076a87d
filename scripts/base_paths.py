"""Choose the folder of a model's versions, and say how ``models.toml`` serves it.

A folder holds the versions of one model: a server replaces the newest version by the next without
asking, so a version of another kind would take the place of the model that clients know.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.folders import version_folders
from model_catalog.model_entry import SERVING_DEFAULT, ModelEntry
from model_catalog.models_file import load_models_file
from model_catalog.signatures import output_sizes
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts.errors import ScriptError


def base_path_of(model_file: Path, project: Path) -> Path:
    """Return the folder in the project that is named after the model file, or raise ScriptError."""
    base_path = project / folder_name(model_file)
    if base_path.exists() and not (base_path.is_dir() and _is_for_versions(base_path)):
        raise ScriptError(
            f"{base_path} exists and is no folder of versions; name another with --base-path."
        )
    return base_path


def folder_name(model_file: Path) -> str:
    """Return a name for the folder of the versions, after the model file."""
    path = Path(os.path.abspath(model_file))  # a symbolic link keeps its own name
    return _plain(path.name if path.is_dir() else path.stem)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-") or "model"


def _is_for_versions(folder: Path) -> bool:
    return bool(version_folders(folder)) or not any(folder.iterdir())


def require_same_model(base_path: Path, spec: ModelSpec) -> None:
    """Raise ScriptError if the newest version has other labels or takes other images."""
    versions = version_folders(base_path) if base_path.is_dir() else {}
    if not versions:
        return
    newest = versions[max(versions)]
    differences = list(_differences(newest, spec))
    if differences:
        raise ScriptError(
            f"{newest} is another model: {'; '.join(differences)}. The new version would replace "
            "it; export to another folder with --base-path, or add --replace."
        )


def _differences(version: Path, spec: ModelSpec) -> Iterator[str]:
    """Yield one text for each difference that a client of the version would notice."""
    try:
        old = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    except (OSError, CatalogError):
        yield from _differences_of_graph(version, spec)
        return
    if _images(old) != _images(spec):
        yield f"it takes images of {_images(old)}, the new one {_images(spec)}"
    if len(old.labels) != len(spec.labels):
        yield f"it has {len(old.labels)} labels, the new one {len(spec.labels)}"
        return
    pairs = zip(old.labels, spec.labels, strict=True)
    for index, (before, after) in enumerate(pairs):
        if before != after:
            yield f"its label {index} is {before[1]!r}, that of the new one {after[1]!r}"
            return


def _images(spec: ModelSpec) -> str:
    return f"{spec.images.height}x{spec.images.width} {spec.images.color}"


def _differences_of_graph(version: Path, spec: ModelSpec) -> Iterator[str]:
    """Compare with a version that has no spec by the number of its scores."""
    try:
        signatures = output_sizes((version / "saved_model.pb").read_bytes())
    except (OSError, CatalogError):
        return
    sizes = {size for size in signatures.get(SERVING_DEFAULT, {}).values() if size is not None}
    if sizes and spec.output.classes not in sizes:
        scores = " or ".join(map(str, sorted(sizes)))
        yield f"it returns {scores} scores, the new one {spec.output.classes}"


def how_to_serve(version: Path, project: Path) -> str:
    """Return the text that says how ``models.toml`` serves the version, or the lines to add."""
    entries = _entries(project)
    serving = _serving(version, entries)
    if serving:
        return "\n".join(_served(entry, int(version.name)) for entry in serving)
    return (
        "models.toml does not name its folder; to serve it, add these lines:\n\n"
        f"{_lines(version, project, entries)}"
    )


def add_to_models_file(version: Path, project: Path) -> str:
    """Append the lines that serve the version to ``models.toml``, and return what was done."""
    from scripts.versions import models_toml

    entries = _entries(project)
    if _serving(version, entries):
        return how_to_serve(version, project)
    file, name = project / "models.toml", _model_name(version, entries)
    values = {"base_path": str(_relative(version.parent, project))}
    file.parent.mkdir(parents=True, exist_ok=True)
    models_toml.add_model(file, name, values)
    lines = models_toml.lines_of(name, values).rstrip()
    return f"added to {file}, which running servers take up:\n\n{lines}"


def how_to_try(version: Path, project: Path) -> str:
    """Return the command that asks the gateway about an image."""
    entries = _entries(project)
    serving = _serving(version, entries)
    name = serving[0].name if serving else _model_name(version, entries)
    return (
        "\nTo try it:\n\ncurl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' "
        f"http://127.0.0.1:5000/models/{name}/predict"
    )


def _entries(project: Path) -> tuple[ModelEntry, ...]:
    try:
        return load_models_file(project / "models.toml").entries
    except CatalogError:
        return ()


def _serving(version: Path, entries: tuple[ModelEntry, ...]) -> list[ModelEntry]:
    base_path = version.parent.resolve()
    return [entry for entry in entries if entry.base_path.resolve() == base_path]


def _model_name(version: Path, entries: tuple[ModelEntry, ...]) -> str:
    """Return a name after the folder that no other model has."""
    return _free(_plain(version.parent.resolve().name), {entry.name.lower() for entry in entries})


def _lines(version: Path, project: Path, entries: tuple[ModelEntry, ...]) -> str:
    path = json.dumps(str(_relative(version.parent, project)), ensure_ascii=False)
    return f"[models.{_toml_key(_model_name(version, entries))}]\nbase_path = {path}"


def _served(entry: ModelEntry, version: int) -> str:
    if entry.versions in ("latest", "all") or version in entry.versions:
        return f"models.toml serves it as {entry.name}"
    return f"models.toml serves other versions as {entry.name}: add {version} to its versions"


def _free(name: str, taken: set[str]) -> str:
    if name.lower() not in taken:
        return name
    number = next(n for n in range(2, len(taken) + 3) if f"{name}-{n}".lower() not in taken)
    return f"{name}-{number}"


def _toml_key(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _relative(path: Path, project: Path) -> Path:
    path, project = path.resolve(), project.resolve()
    return path.relative_to(project) if path.is_relative_to(project) else path
