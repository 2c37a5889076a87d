"""Read folders of images as the gateway would prepare them, but not scaled yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scripts import picture_graph
from scripts.errors import ScriptError

if TYPE_CHECKING:
    import tensorflow as tf

    from model_catalog.spec import InputSpec

#: Photographs that come with the project.
PHOTOGRAPHS: Final = Path(__file__).resolve().parent.parent.parent / "test_images"
_PHOTOGRAPHS: Final = ("cat.jpg", "clock.png", "coffee.jpg", "rocket.jpg")
_SUFFIXES: Final = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
#: More images take longer and hardly change the statistics.
MAX_PICTURES: Final = 64


def photographs() -> list[Path]:
    """Return the photographs of the project; none where it was installed without them."""
    return [PHOTOGRAPHS / name for name in _PHOTOGRAPHS if (PHOTOGRAPHS / name).is_file()]


def pictures_in(folder: Path, most: int = MAX_PICTURES) -> list[Path]:
    """Return up to ``most`` images in the folder and those below it, evenly chosen.

    Raises ScriptError if there is none.
    """
    if not folder.is_dir():
        raise ScriptError(f"{folder} is not a folder; needed is a folder of images.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        read = ", ".join(sorted(_SUFFIXES))
        raise ScriptError(f"{folder} has no images; read are {read}.")
    count = min(len(files), most)
    return [files[index * len(files) // count] for index in range(count)]


def levels_of(files: list[Path], spec: InputSpec) -> tf.Tensor:
    """Return the levels of 0 to 255 of the images, [N, height, width, channels] floats."""
    import tensorflow as tf

    unscaled = replace(spec, scale="none")
    return tf.concat([_levels(file, unscaled) for file in files], axis=0)


def _levels(file: Path, spec: InputSpec) -> tf.Tensor:
    import tensorflow as tf

    try:
        return picture_graph.from_files(tf.constant([file.read_bytes()]), spec)
    except tf.errors.OpError as error:
        raise ScriptError(f"{file} is not an image that can be read; remove it.") from error
