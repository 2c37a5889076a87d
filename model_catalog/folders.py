"""Find faults in model folders, with a way to repair each one.

Folders are only read, and no model is loaded. A model without an error has at least one version
that a server should be able to load.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.fault import Fault
from model_catalog.foreign_faults import foreign_faults, returned_classes
from model_catalog.graph_files import GraphFileError, graph_file_of, read_graph_file
from model_catalog.installation import export_command
from model_catalog.labels import score_counts
from model_catalog.model_entry import BIGGEST_VERSION, SERVING_DEFAULT, ModelEntry
from model_catalog.signatures import DamagedGraph, output_sizes, read_signature
from model_catalog.spec import SCORE_TASKS, SPEC_FILE, ModelSpec

_GRAPH = "saved_model.pb"
#: The same as text, as TensorFlow 1 can write it; servers load it, and nothing here reads it.
_TEXT_GRAPH = "saved_model.pbtxt"
_INDEX = Path("variables", "variables.index")
#: Name of the signature of exports that returns their spec.
DESCRIBE = "describe"
#: TensorFlow writes a signature of this name that initialises tables.
_INIT = "__saved_model_init_op"
#: Files that the export script takes, by suffix; ``.pb`` is left out, since a SavedModel has such
#: files too.
_MODEL_FILES = {
    ".keras": "Keras file",
    ".h5": "Keras file",
    ".hdf5": "Keras file",
    ".tflite": "TensorFlow Lite file",
}
_EXPORT = f"{export_command()} --model"


def version_folders(base: Path) -> dict[int, Path]:
    """Return the entries that a server takes for versions, whose names are numbers, by number."""
    found = (path for path in base.iterdir() if is_version(path.name))
    return {int(path.name): path for path in sorted(found)}


def is_version(name: str) -> bool:
    """Tell whether a server takes a folder of this name for a version; numbers have 63 bits."""
    return name.isascii() and name.isdecimal() and int(name) <= BIGGEST_VERSION


def faults(entry: ModelEntry) -> Iterator[Fault]:
    """Find the faults of a model of the models file."""
    base = entry.base_path
    if not os.path.isdir(base):  # Path.is_dir raises where it may not look
        yield _no_folder(base)
        return
    try:
        os.stat(os.path.join(base, os.curdir))  # which needs the right to look into it
        versions = version_folders(base)
    except OSError:
        yield _unreadable_fault(base, base)
        return
    if not versions:
        yield _no_version(base)
    for path in versions.values():
        yield from _version_faults(path, entry)
    yield from _absent_versions(entry, versions)


def _no_folder(base: Path) -> Fault:
    if base.suffix in _MODEL_FILES and os.path.isfile(base):
        to = base.parent / base.stem
        return Fault(
            f"{base} is a {_MODEL_FILES[base.suffix]}, but base_path must be a folder of"
            " SavedModels",
            f"{_EXPORT} {_q(base)} --base-path {_q(to)}, and base_path = {_q(to)} in models.toml",
        )
    return Fault(
        f"{base} is not a folder", f"mkdir -p {_q(base)}, or correct base_path in models.toml"
    )


def _no_version(base: Path) -> Fault:
    if (base / _GRAPH).exists() and is_version(base.name):
        return Fault(
            f"{base} is a version of a model, but base_path must be the folder around it",
            f'base_path = "{base.parent}" in models.toml',
        )
    if (base / _GRAPH).exists():
        names = sorted(shlex.quote(path.name) for path in base.iterdir())
        return Fault(
            f"{base} is itself a SavedModel; it must lie in a numbered folder inside",
            f"cd {_q(base)} && mkdir 1 && mv {' '.join(names)} 1/",
        )
    for path in sorted(base.iterdir()):
        if path.suffix in _MODEL_FILES and path.is_file():
            return Fault(
                f"{path} is a {_MODEL_FILES[path.suffix]}, not a SavedModel", _export(path, base)
            )
        if (path / _GRAPH).exists():
            fix = f"mv {_q(path)} {_q(base / '1')}"
            allowed = f"0 to {BIGGEST_VERSION}"
            text = f"{path} is a SavedModel, but its name is no version number, {allowed}"
            return Fault(text, fix)
    return Fault(f"{base} has no numbered version folder", f"{_EXPORT} FILE --base-path {_q(base)}")


def _version_faults(path: Path, entry: ModelEntry) -> Iterator[Fault]:
    if not path.is_dir():
        yield Fault(f"{path} is a file, but a server takes it for a version", f"rm {_q(path)}")
    elif unreadable := _unreadable(path):
        yield _unreadable_fault(path, unreadable)
    elif graph_file_of(path) is not None:
        yield from _graph_file_faults(path, entry)
    elif (path / _TEXT_GRAPH).is_file() and not (path / _GRAPH).exists():
        yield from _incomplete(path)
    elif not (path / _GRAPH).exists():
        yield _no_graph(path)
    else:
        yield from _incomplete(path)
        yield from _signature_faults(path, entry)


def _unreadable(path: Path) -> Path | None:
    if not os.access(path, os.R_OK | os.X_OK):
        return path  # a walk would pass over it
    for folder, _, files in os.walk(path):
        for each in (Path(folder), *(Path(folder, name) for name in files)):
            wanted = os.R_OK | os.X_OK if each.is_dir() else os.R_OK
            if not os.access(each, wanted):
                return each
    return None


def _unreadable_fault(path: Path, unreadable: Path) -> Fault:
    if unreadable.is_symlink() and not unreadable.exists():
        return _copy_again(path, f"{unreadable} is a broken link to {unreadable.readlink()}")
    return Fault(f"{unreadable} cannot be read by this user", f"chmod -R a+rX {_q(path)}")


def _graph_file_faults(path: Path, entry: ModelEntry) -> Iterator[Fault]:
    """Find faults of a version with a ``.tflite`` or frozen ``.pb`` file, which is an export."""
    try:
        read_graph_file(path)
        has_spec = (path / SPEC_FILE).exists()
    except GraphFileError as error:
        yield Fault(str(error), f"{_EXPORT} FILE --base-path {_q(path.parent)}")
        return
    if has_spec:
        yield from _label_faults(path, entry, set())
    else:
        yield Fault(
            f"{path} has no model spec, {SPEC_FILE}",
            f"{_EXPORT} FILE --base-path {_q(path.parent)}",
        )


def _no_graph(path: Path) -> Fault:
    for inner in sorted(path.rglob("*")):
        if inner.name == _GRAPH:
            aside = path.with_name(f"{path.name}.nested")
            nested = aside / inner.parent.relative_to(path)
            return Fault(
                f"the SavedModel of {path} lies one folder too deep, in {inner.parent}",
                f"mv {_q(path)} {_q(aside)} && mv {_q(nested)} {_q(path)}",
            )
        if inner.suffix in _MODEL_FILES:
            return Fault(
                f"{inner} is a {_MODEL_FILES[inner.suffix]}, not a SavedModel",
                _export(inner, path.parent),
            )
    return Fault(
        f"{path} is not a SavedModel: it has no {_GRAPH}",
        f"rm -r {_q(path)}, then {_EXPORT} FILE --base-path {_q(path.parent)}",
    )


def _incomplete(path: Path) -> Iterator[Fault]:
    data = list(path.glob("variables/variables.data-*"))
    if data and not (path / _INDEX).exists():
        yield _copy_again(path, f"{path / _INDEX} is missing")
    if (path / _INDEX).exists() and not data:
        yield _copy_again(path, f"{path / 'variables'} has an index but no data")


def _copy_again(path: Path, text: str) -> Fault:
    return Fault(text, f"copy or export {_q(path)} again: the copy is not complete")


def _signature_faults(path: Path, entry: ModelEntry) -> Iterator[Fault]:
    try:
        graph = (path / _GRAPH).read_bytes()
        signatures = output_sizes(graph)
        is_foreign = not (path / SPEC_FILE).exists() and DESCRIBE not in signatures
        wanted = entry.signature if is_foreign else SERVING_DEFAULT
        signature = read_signature(graph, wanted)
    except DamagedGraph as error:
        yield _copy_again(path, f"{path / _GRAPH} is damaged: {error}")
        return
    if wanted not in signatures:
        yield _no_signature(path, wanted, signatures)
        return
    sizes = {size for size in signatures[wanted].values() if size is not None}
    foreign = list(foreign_faults(path, entry, signature)) if is_foreign else []
    yield from foreign
    names_classes = is_foreign and returned_classes(entry, signature) is not None
    if not foreign and entry.task in SCORE_TASKS and not names_classes:
        yield from _label_faults(path, entry, sizes)


def _no_signature(path: Path, wanted: str, signatures: Collection[str]) -> Fault:
    named = sorted(set(signatures) - {_INIT})
    known = ", ".join(named) or "none"
    export = (
        "export it with that signature: tf.saved_model.save(model, path, "
        f'signatures={{"{wanted}": …}}), or {_EXPORT} FILE'
    )
    choose = f'signature = "{named[0]}" in models.toml, or ' if named else ""
    return Fault(f"{path} has no signature {wanted}; it has {known}", choose + export)


def _label_faults(path: Path, entry: ModelEntry, sizes: set[int]) -> Iterator[Fault]:
    try:
        labels = _labels(path, entry)
    except (CatalogError, OSError) as error:
        yield Fault(
            f"{path / SPEC_FILE} cannot be used: {error}", f"{_EXPORT} FILE: export it again"
        )
        return
    if labels is None:
        yield Fault(
            f"{path} has no class labels, and models.toml has none for it",
            f'labels = "FILE" and input = {{…}} under [models.{entry.name}] in models.toml',
            is_error=False,
        )
    elif sizes and sizes.isdisjoint(labels.score_counts):
        scores = " or ".join(map(str, sorted(sizes)))
        yield Fault(
            f"{path} returns {scores} scores, {labels.place} has {labels.count} labels",
            f"give {labels.place} exactly {scores} labels, in the order of the scores",
        )


@dataclass(frozen=True)
class _Labels:
    """The number of labels of a version and the place that defines them."""

    count: int
    place: str
    score_counts: tuple[int, ...]
    """Numbers of scores that the labels fit."""


def _labels(path: Path, entry: ModelEntry) -> _Labels | None:
    """Return the labels of a version; None when neither spec nor models file has any."""
    if (path / SPEC_FILE).exists():
        spec = ModelSpec.from_json((path / SPEC_FILE).read_bytes())
        return _Labels(len(spec.labels), str(path / SPEC_FILE), (len(spec.labels),))
    if entry.labels is None:
        return None
    place = f"models.{entry.name}.labels"
    return _Labels(len(entry.labels), place, score_counts(entry.labels))


def _absent_versions(entry: ModelEntry, versions: dict[int, Path]) -> Iterator[Fault]:
    listed = set() if isinstance(entry.versions, str) else set(entry.versions)
    for number in sorted((listed | set(entry.version_labels.values())) - set(versions)):
        path = entry.base_path / str(number)
        yield Fault(
            f"models.{entry.name} names version {number}, which is not in {entry.base_path}",
            f"correct models.{entry.name} in models.toml, or add {_q(path)}",
        )


def _export(model: Path, base: Path) -> str:
    return f"{_EXPORT} {_q(model)} --base-path {_q(base)}"


def _q(path: Path) -> str:
    return shlex.quote(str(path))
