"""Turn a picture into the tensor a model was trained on, as its spec says.

Resized by Pillow, the pixels equal ``keras.utils.load_img`` with the same options, byte for byte;
``pad`` is our own. No request, no network; arrays have shape ``(height, width, channels)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.imaging.resizing import Box, Resize, Size, by_pillow
from model_catalog.scaling import SCALINGS
from model_catalog.spec import InputSpec

Pixels = NDArray[np.uint8]
Tensor = NDArray[np.float32]

#: Pillow's mode of each of the spec's colours.
MODES = {"rgb": "RGB", "grayscale": "L"}


def to_pixels(image: Image.Image, spec: InputSpec, resize: Resize = by_pillow) -> Pixels:
    """Return the picture in the spec's colour and size, 0 to 255."""
    colored = image if image.mode == MODES[spec.color] else image.convert(MODES[spec.color])
    sized = _FITS[spec.fit](colored, spec, resize)
    return np.asarray(sized, np.uint8).reshape(spec.height, spec.width, spec.channels)


def scale(pixels: Pixels, mode: str) -> Tensor:
    """Apply the spec's arithmetic, one of ``model_catalog.spec.SCALES``."""
    scaling = SCALINGS[mode]
    levels = pixels[..., ::-1] if scaling.reverses else pixels
    values = levels.astype(np.float32, order="C") / np.float32(scaling.divisor)
    mean = np.array(scaling.mean, np.float32)
    return np.asarray((values - mean) / np.array(scaling.deviation, np.float32))


def decoding_bound(spec: InputSpec, size: Size) -> Size | None:
    """Return how large a JPEG of this upright size must stay while it is decoded.

    That is twice the size it is then resized to. None means that it must not shrink: ``nearest``
    picks single pixels and ``box`` has hard edges, so both would show other pixels.
    """
    if spec.interpolation in {"nearest", "box"}:
        return None
    if spec.fit != "pad":
        return 2 * spec.width, 2 * spec.height
    width, height = inside(size, spec)
    return 2 * width, 2 * height


def crop_box(size: Size, spec: InputSpec) -> Box:
    """Return left, top, right and bottom of the largest centred part of the target's shape."""
    width, height = size
    part_width = max(1, min(width, height * spec.width // spec.height))
    part_height = max(1, min(height, width * spec.height // spec.width))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    return left, top, left + part_width, top + part_height


def _stretch(image: Image.Image, spec: InputSpec, resize: Resize) -> Image.Image:
    return _resized(image, (spec.width, spec.height), spec, resize)


def _crop(image: Image.Image, spec: InputSpec, resize: Resize) -> Image.Image:
    """Resize the largest centred part that has the target's aspect ratio."""
    target = (spec.width, spec.height)
    if image.size == target:
        return image
    return resize(image, target, spec.interpolation, crop_box(image.size, spec))


def _pad(image: Image.Image, spec: InputSpec, resize: Resize) -> Image.Image:
    """Resize until the whole picture fits, centred on black."""
    small = _resized(image, inside(image.size, spec), spec, resize)
    canvas = Image.new(image.mode, (spec.width, spec.height))
    canvas.paste(small, ((spec.width - small.width) // 2, (spec.height - small.height) // 2))
    return canvas


def inside(size: Size, spec: InputSpec) -> Size:
    """Return the largest size with the picture's aspect ratio inside the target."""
    factor = min(spec.width / size[0], spec.height / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(image: Image.Image, size: Size, spec: InputSpec, resize: Resize) -> Image.Image:
    if image.size == size:
        return image
    return resize(image, size, spec.interpolation, (0, 0, *image.size))


_FITS: dict[str, Callable[[Image.Image, InputSpec, Resize], Image.Image]] = {
    "stretch": _stretch,
    "crop": _crop,
    "pad": _pad,
}
