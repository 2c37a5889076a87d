"""Make distinct 500x375 JPEGs out of a few photographs, the same ones on every machine.

Each picture is a different part of a photo, mirrored, recoloured and brightened at random: no
system can answer it from a cache, and the models predict different classes.
"""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image, ImageEnhance

from benchmarks.processes import ROOT
from flask_server.imaging.resizing import Resize, by_pillow

PHOTOS = ("cat.jpg", "coffee.jpg", "rocket.jpg", "clock.png")
SIZE = (500, 375)
QUALITY = 92
_SEED = 20261120


def jpegs(count: int, folder: Path = ROOT / "test_images") -> list[bytes]:
    """Return that many different JPEG files."""
    photos = [_rgb(folder / name) for name in PHOTOS]
    random_source = random.Random(_SEED)  # noqa: S311 (pictures, not secrets)
    return [_jpeg(_part(photos[number % len(photos)], random_source)) for number in range(count)]


def resized(data: bytes, side: int, resize: Resize = by_pillow) -> Image.Image:
    """Decode and resize a picture: the work that no system can leave out."""
    with Image.open(io.BytesIO(data)) as image:
        return resize(image.convert("RGB"), (side, side), "bilinear", (0, 0, *image.size))


def _rgb(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _part(photo: Image.Image, random_source: random.Random) -> Image.Image:
    size = random_source.uniform(0.45, 1.0)
    width, height = photo.width * size, photo.height * size
    left, top = (
        random_source.uniform(0, photo.width - width),
        random_source.uniform(0, photo.height - height),
    )
    part = photo.resize(SIZE, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    if random_source.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    part = Image.merge("RGB", random_source.sample(part.split(), 3))
    return ImageEnhance.Brightness(part).enhance(random_source.uniform(0.7, 1.3))


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
