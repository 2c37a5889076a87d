"""Make the images for calibration and comparison: image files of a folder, and views of them.

A view is a part of an image, mirrored or not. The same seed gives the same views.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scripts import picture_graph
from scripts.checks.picture_files import pictures_in
from scripts.errors import ScriptError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model_catalog.spec import InputSpec

#: Photographs that come with the project; the README beside them has their sources and licences.
SHIPPED: Final = Path(__file__).resolve().parent.parent / "data" / "calibration"
#: Without a folder for the comparison, one image file of so many is kept for it.
_HELD_OUT: Final = 4
#: Smallest side of a view, as a fraction of the image's side.
_SMALLEST: Final = 0.6


def split(calibration: Path, holdout: Path | None, most: int) -> tuple[list[Path], list[Path]]:
    """Return up to ``most`` image files for calibration, and those for the comparison.

    Without a folder for the comparison, it gets a part of the files for calibration. Raises
    ScriptError if there are too few.
    """
    if holdout is not None:
        return pictures_in(calibration, most), pictures_in(holdout, most)
    files = pictures_in(calibration, most * _HELD_OUT // (_HELD_OUT - 1))
    held_out = files[1::_HELD_OUT]
    if not held_out:
        raise ScriptError(
            f"{calibration} has only one image; add more, or name a folder with --holdout."
        )
    return [file for file in files if file not in held_out], held_out


def contents(files: Sequence[Path], count: int, seed: int) -> Iterator[tuple[Path, bytes]]:
    """Yield ``count`` images and their files: first all whole files, then views of them in turn.

    Raises ScriptError for a file that cannot be read.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    for index in range(count):
        file = files[index % len(files)]
        whole = index < len(files)
        yield file, file.read_bytes() if whole else _view(file, rng.random(4).tolist())


def _view(file: Path, numbers: Sequence[float]) -> bytes:
    """Return a part of the image as a BMP file, by four numbers from 0 to 1."""
    from PIL import Image, ImageOps

    side, x, y, mirrored = numbers
    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ScriptError(f"{file} is not an image that can be read; remove it.") from error
    part = _SMALLEST + (1 - _SMALLEST) * side
    width, height = max(1, round(picture.width * part)), max(1, round(picture.height * part))
    left, top = round((picture.width - width) * x), round((picture.height - height) * y)
    view = picture.crop((left, top, left + width, top + height))
    buffer = io.BytesIO()
    (ImageOps.mirror(view) if mirrored < 0.5 else view).save(buffer, "BMP")
    return buffer.getvalue()


def levels_of(pictures: Iterable[tuple[Path, bytes]], spec: InputSpec) -> NDArray[np.uint8]:
    """Return the images in the export's size, [N, height, width, channels] of 0 to 255.

    Raises ScriptError for an image that cannot be read.
    """
    import numpy as np
    import tensorflow as tf

    # Traced once, this takes a third of the time of one call after the other.
    prepare = tf.function(
        partial(picture_graph.from_files, spec=replace(spec, scale="none")),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    levels = []
    for name, data in pictures:
        try:
            levels.append(np.rint(prepare(tf.constant([data]))[0]).astype(np.uint8))
        except tf.errors.OpError as error:
            raise ScriptError(f"{name} is not an image that can be read; remove it.") from error
    return np.stack(levels)


def scaled(levels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """Return model input for levels, scaled as the export does it."""
    import numpy as np
    import tensorflow as tf

    return np.asarray(picture_graph.SCALING[spec.scale](tf.constant(levels.astype(np.float32))))
