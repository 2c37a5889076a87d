"""Tell by its content what a model file is, whatever its name says.

Only the first bytes of a file, or the list of files in an archive, are read. Nothing here imports
Keras.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.errors import ScriptError

ALLOWED = "allowed are .keras and .h5 files"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
#: Beginnings of files that people pass for model files, and what each of them is.
_OTHERS = {
    b"version https://git-lfs.github.com/spec/": (
        "is a Git LFS pointer, a text in place of the model file; `git lfs pull` fetches the file"
    ),
    b"/annex/objects/": (
        "is a git-annex pointer, a text in place of the model file; `git annex get` fetches it"
    ),
    b"<": "is a web page or other markup, as a failed download leaves it; download the file again",
    b"\x1f\x8b": f"is a gzip archive; unpack it: {ALLOWED}",
    b"\x80": f"is a pickle, such as a PyTorch model; {ALLOWED}",
}
_HEAD = 64
_WEIGHTS = "model.weights.h5"
_ZIP_COMMAND = "in their folder: zip -r ../model.keras ."


def suffix_of(path: Path) -> str:
    """Return ``.keras`` or ``.h5``, whichever the content is, or raise ScriptError."""
    if path.is_dir():
        raise ScriptError(f"{path} is a folder{_hint_of_folder(path)}; {ALLOWED}.")
    if not path.is_file():
        raise ScriptError(f"There is no model file {path}.")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_HDF5):
        return ".h5"
    if head.startswith(_ZIP):
        _require_keras_archive(path)
        return ".keras"
    raise ScriptError(f"{path} {_description(head)}.")


def _hint_of_folder(path: Path) -> str:
    if (path / "saved_model.pb").exists():
        return (
            " with a SavedModel, which needs no export: name the folder above it in models.toml, "
            "with input and labels"
        )
    if (path / "config.json").exists() and (path / _WEIGHTS).exists():
        return f" with the unpacked files of a .keras archive: zip them again, {_ZIP_COMMAND}"
    return ""


def _require_keras_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ScriptError(
            f"{path} is a damaged .keras file, perhaps cut short ({error}); copy it again."
        ) from error
    if "config.json" in names:
        return
    if _are_in_folder(names):
        raise ScriptError(
            f"{path} has the files of a .keras archive in a folder; unpack it and zip them without "
            f"the folder, {_ZIP_COMMAND}."
        )
    models = [name for name in names if name.endswith((".keras", ".h5", ".hdf5"))]
    inside = f" with {', '.join(models[:3])} inside; unpack it" if models else ""
    raise ScriptError(f"{path} is a zip archive, but not of Keras{inside}; {ALLOWED}.")


def _are_in_folder(names: list[str]) -> bool:
    """Tell whether the files of a .keras archive lie in a folder of the archive."""
    folders = [name.removesuffix("config.json") for name in names if name.endswith("/config.json")]
    return any(folder + _WEIGHTS in names for folder in folders)


def _description(head: bytes) -> str:
    if not head:
        return f"is empty; {ALLOWED}"
    if head[4:8] == b"TFL3":
        return f"is a TensorFlow Lite model; {ALLOWED}"
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    known = (what for start, what in _OTHERS.items() if text.startswith(start))
    return next(known, f"is not a model file of Keras; {ALLOWED}")


@contextmanager
def named_by_content(path: Path) -> Iterator[Path]:
    """Yield a path of the file that ends as its content demands, since Keras goes by the name."""
    suffix = suffix_of(path)
    if path.suffix == suffix or (suffix == ".h5" and path.suffix == ".hdf5"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, path.stem + suffix)
        link.symlink_to(path.absolute())
        yield link
