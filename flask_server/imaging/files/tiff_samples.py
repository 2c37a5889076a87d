"""Pixels of TIFF images whose samples Pillow cannot read.

Pillow's libtiff decompresses such an image as rows of bytes; the samples are read from these here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.imaging.geometry import Size

#: Samples that are converted together; conversion takes about ten bytes for each.
BAND_SAMPLES: Final = 1 << 18

#: From an array of rows, columns and channels to one of the values that Pillow's mode has.
Convert = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Samples:
    """How the bytes of a row become pixels."""

    dtype: str
    """numpy's type of a sample, with its byte order."""

    channels: int
    mode: str
    """Pillow's mode of the image."""

    convert: Convert
    differences: int = 0
    """Width of the tiles in which a sample is the difference from its left one; 0 for none."""

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in the file, without compression."""
        return np.dtype(self.dtype).itemsize * self.channels


def grey(dtype: str, extra: tuple[int, ...], differences: int, *, inverted: bool) -> Samples:
    """Return the samples of grey of 8 or 16 bits, with ``extra`` as the values of tag 338.

    0 is a channel that is not shown, 1 premultiplied and 2 separate transparency.
    """
    mode = {(): "L", (0,): "L", (1,): "La", (2,): "LA"}[extra]
    convert = partial(_high_bytes, channels=len(mode), inverted=inverted)
    return Samples(dtype, 1 + len(extra), mode, convert, differences)


def fractions(dtype: str) -> Samples:
    """Return the samples of grey fractions."""
    return Samples(dtype, 1, "F", _floats)


def draw(data: bytes, size: Size, samples: Samples) -> Image.Image:
    """Return the image of a file whose directory describes rows of bytes."""
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as stored:
        stored.load()
        drawn = Image.new(samples.mode, size)
        rows = max(1, BAND_SAMPLES // (size[0] * samples.channels))
        for top in range(0, size[1], rows):
            bottom = min(size[1], top + rows)
            band = np.asarray(stored.crop((0, top, stored.width, bottom)))
            levels = samples.convert(_values(band, samples))
            part = Image.frombytes(samples.mode, (size[0], bottom - top), levels.tobytes())
            drawn.paste(part, (0, top))
    return drawn


def _values(band: NDArray[Any], samples: Samples) -> NDArray[Any]:
    """Return rows of bytes as an array of rows, columns and channels."""
    values = np.ascontiguousarray(band).view(samples.dtype)
    values = values.reshape(len(band), -1, samples.channels)
    return _summed(values, samples.differences) if samples.differences else values


def _summed(values: NDArray[Any], tile_width: int) -> NDArray[Any]:
    """Return the sums of all samples to the left in the same tile; they wrap around."""
    rows, width, channels = values.shape
    across = min(tile_width, width)
    tiles = -(-width // across)
    whole = np.zeros((rows, tiles * across, channels), values.dtype.newbyteorder("="))
    whole[:, :width] = values
    sums = whole.reshape(rows, tiles, across, channels).cumsum(axis=2, dtype=whole.dtype)
    return sums.reshape(rows, tiles * across, channels)[:, :width]


def _high_bytes(values: NDArray[Any], *, channels: int, inverted: bool) -> NDArray[Any]:
    shift = 8 * (values.dtype.itemsize - 1)
    levels = (values[..., :channels] >> shift).astype(np.uint8)
    if inverted:
        levels[..., 0] = 255 - levels[..., 0]
    return levels


def _floats(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
