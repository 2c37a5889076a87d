"""Convert a decoded image to a model's input, as its spec says.

With Pillow's resizing the pixels equal ``keras.utils.load_img`` with the same options, byte for
byte; Keras has no counterpart of the fit ``pad``. Arrays have shape (height, width, channels).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.imaging.geometry import FloatBox, Size, crop_box, fitted_size, scaled_box
from flask_server.imaging.resizing import Resize, by_pillow
from model_catalog.scaling import SCALINGS
from model_catalog.spec import InputSpec

#: Shape (height, width, channels), 0 to 255.
Pixels = NDArray[np.uint8]
#: Shape (height, width, channels), scaled.
Tensor = NDArray[np.float32]

#: How many times larger than the model's input a JPEG must stay while decoding.
MIN_REDUCTION = 2.05

#: Pillow's mode for each value of ``InputSpec.color``.
MODES = {"rgb": "RGB", "grayscale": "L"}


@dataclass(frozen=True, slots=True)
class Original:
    """The upright image of which a decoded image is a copy, perhaps a smaller one."""

    size: Size

    covered: FloatBox
    """The part of the decoded image that the original covers."""


def to_pixels(
    image: Image.Image,
    spec: InputSpec,
    resize: Resize = by_pillow,
    original: Original | None = None,
) -> Pixels:
    """Return the image in the spec's colour mode and size.

    Without ``original`` the image itself is the original.
    """
    converted = image if image.mode == MODES[spec.color] else image.convert(MODES[spec.color])
    whole = original or Original(image.size, (0, 0, *image.size))
    resized = _FITS[spec.fit](converted, spec, resize, whole)
    return np.asarray(resized, np.uint8).reshape(spec.height, spec.width, spec.channels)


def scale(pixels: Pixels, mode: str) -> Tensor:
    """Scale the levels as the spec's ``scale`` says, one of ``model_catalog.spec.SCALES``."""
    scaling = SCALINGS[mode]
    levels = pixels[..., ::-1] if scaling.reverses else pixels
    values = levels.astype(np.float32, order="C") / np.float32(scaling.divisor)
    mean = np.array(scaling.mean, np.float32)
    return np.asarray((values - mean) / np.array(scaling.deviation, np.float32))


def min_decoded_size(spec: InputSpec, size: Size) -> Size | None:
    """Return the size below which a JPEG of this upright size must not shrink while decoding.

    That is a little more than twice the size it is then resized to; at exactly twice the size the
    two filters fall onto the same places, and the levels differ twice as much. None means full
    size: ``nearest`` selects single pixels and ``box`` has sharp edges, so a smaller image would
    give visibly other results.
    """
    if spec.interpolation in {"nearest", "box"}:
        return None
    if spec.fit != "pad":
        return _enough(spec.width), _enough(spec.height)
    width, height = fitted_size(size, spec)
    return _enough(width), _enough(height)


def _enough(side: int) -> int:
    return math.ceil(MIN_REDUCTION * side)


def _stretch(image: Image.Image, spec: InputSpec, resize: Resize, whole: Original) -> Image.Image:
    return _resized(image, (spec.width, spec.height), spec, resize, whole.covered)


def _crop(image: Image.Image, spec: InputSpec, resize: Resize, whole: Original) -> Image.Image:
    """Resize the largest centred part with the aspect ratio of the model's input."""
    box = scaled_box(crop_box(whole.size, spec), whole.size, whole.covered)
    return _resized(image, (spec.width, spec.height), spec, resize, box)


def _pad(image: Image.Image, spec: InputSpec, resize: Resize, whole: Original) -> Image.Image:
    """Resize the whole image into the model's input, centred on black."""
    small = _resized(image, fitted_size(whole.size, spec), spec, resize, whole.covered)
    canvas = Image.new(image.mode, (spec.width, spec.height))
    canvas.paste(small, ((spec.width - small.width) // 2, (spec.height - small.height) // 2))
    return canvas


def _resized(
    image: Image.Image, size: Size, spec: InputSpec, resize: Resize, box: FloatBox
) -> Image.Image:
    if image.size == size:
        return image
    return resize(image, size, spec.interpolation, box)


_FITS: dict[str, Callable[[Image.Image, InputSpec, Resize, Original], Image.Image]] = {
    "stretch": _stretch,
    "crop": _crop,
    "pad": _pad,
}
