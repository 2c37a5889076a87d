"""Bring decoded images to 8 bits per channel, without transparency: it is composed with white."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from flask_server.errors import UnsupportedImage
from flask_server.imaging.files import png
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Box

#: Pixels that are made opaque, or brought to 8 bits, together.
BAND_PIXELS = 1 << 18
#: Bytes of memory per pixel of a band.
BAND_BYTES = 16

#: Largest fraction that is taken for a level beyond white, as sharpening makes them.
_MAX_FRACTION = 2 * 255
#: Colour modes that Pillow converts to RGB, but not directly to grey.
_ONLY_TO_RGB = ("LAB",)


def is_transparent(image: Image.Image, structure: FileStructure) -> bool:
    """Tell whether the image has transparent pixels, or may have."""
    found = structure.transparent_grey is not None or structure.transparent_rgb is not None
    return found or image.has_transparency_data


def flatten(image: Image.Image, structure: FileStructure) -> Image.Image:
    """Return the image with 8 bits per channel and without transparency."""
    if structure.frame is not None:
        return _on_canvas(image, structure.frame)
    _check_fractions(image)
    if image.mode.startswith("I"):
        return _banded(image, "L", lambda band: _eight_bit(band, structure))
    if image.mode in _ONLY_TO_RGB:
        return image.convert("RGB")
    if structure.transparent_rgb is not None:
        return _without_rgb(image, png.low_bytes(structure.data), structure.transparent_rgb)
    if structure.transparent_grey is not None:
        levels = structure.transparent_grey * 255 // ((1 << structure.grey_bits) - 1)
        image.info["transparency"] = levels
    if not image.has_transparency_data:
        return image
    if image.mode == "P":
        return _opaque_palette(image)
    return _banded(image, "RGB", _on_white)


def _check_fractions(image: Image.Image) -> None:
    """Refuse fractions that are not levels of 0 to 255, or hardly: no format defines their range.

    Those of an image from 0 to 1 would all become black, and those of one up to 65535 white.
    """
    if image.mode != "F":
        return
    _, most = image.getextrema()
    if isinstance(most, float) and (0 < most <= 1 or most > _MAX_FRACTION):
        raise UnsupportedImage(
            f"The TIFF image has fractions up to {most:g}, and the format does not say which is"
            " white. They are read as levels from 0 to 255; save the image with these, or with"
            " whole numbers."
        )


def _banded(
    image: Image.Image, mode: str, change: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Return the changed image, changed in bands of rows so that little memory is taken."""
    changed = Image.new(mode, image.size)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(image.height, top + rows)))
        band.info = image.info
        changed.paste(change(band), (0, top))
    return changed


def _on_canvas(image: Image.Image, frame: Box) -> Image.Image:
    """Return the frame on a white canvas: a GIF's canvas is transparent where no frame is."""
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image.crop(frame).convert("RGB"), frame[:2])
    return canvas


def _without_rgb(high: Image.Image, low: Image.Image, rgb: tuple[int, ...]) -> Image.Image:
    """Make the pixels white in which all 16 bits of each channel are those of the colour."""
    rows = max(1, BAND_PIXELS // high.width)
    for top in range(0, high.height, rows):
        box = (0, top, high.width, min(high.height, top + rows))
        upper, lower = (np.asarray(image.crop(box)) for image in (high, low))
        same = (upper == [level >> 8 for level in rgb]) & (lower == [level & 255 for level in rgb])
        high.paste("white", box, Image.fromarray(same.all(axis=-1)))
    high.info.pop("transparency", None)
    return high


def _opaque_palette(image: Image.Image) -> Image.Image:
    """Return the image with its palette composed with white; its pixels stay as they are."""
    strip = Image.new("P", (256, 1))
    strip.putdata(range(256))
    strip.putpalette(image.getpalette("RGB") or [])
    strip.info["transparency"] = image.info["transparency"]
    image.putpalette(_on_white(strip).tobytes(), "RGB")
    del image.info["transparency"]
    return image


def _eight_bit(image: Image.Image, structure: FileStructure) -> Image.Image:
    """Scale grey values of up to 16 bits to 8 bits; Pillow's own conversion would clip them."""
    values = np.asarray(image)
    levels = np.clip(values >> max(0, structure.grey_bits - 8), 0, 255).astype(np.uint8)
    if structure.inverted:
        levels = 255 - levels
    if structure.transparent_grey is not None:
        levels = np.where(values == structure.transparent_grey, np.uint8(255), levels)
    return Image.fromarray(levels)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # Pillow converts premultiplied grey to this mode only
        image = image.convert("LA")
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer)
    return white
