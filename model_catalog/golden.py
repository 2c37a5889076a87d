"""The golden images of an export: test images, and the scores that its source model gave them.

The folder ``assets.extra/golden/`` of a version holds ``scores.json`` and the images as PNG files
of the input's size. A server of the version computes their scores again and compares them. Only the
standard library is used, so PNG files are written and read here in their simplest form: 8 bits per
value, not interlaced, lines without a filter.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_catalog.errors import GoldenError
from model_catalog.spec import InputSpec

FOLDER: Final = Path("assets.extra", "golden")
SCORES_FILE: Final = "scores.json"
FORMAT: Final = 1

#: Largest difference by which another engine may compute in float32.
TOLERANCE: Final = 1e-3
#: Largest difference that computing with numbers of 16 bits explains.
TOLERANCE_16_BIT: Final = 0.2

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES: Final = {1: 0, 3: 2}
_UNFILTERED: Final = 0
#: Exceptions that reading a file of another content raises; OverflowError for an integer beyond all
#: floats.
_UNUSABLE: Final = (LookupError, TypeError, ValueError, RecursionError, OverflowError, OSError)


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """One golden image."""

    name: str

    pixels: bytes
    """Height x width x channels bytes, as the ``pixels`` signature takes them."""

    scores: tuple[float, ...]
    """The scores of the source model."""


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden images of a version."""

    pictures: tuple[GoldenPicture, ...]

    tolerance: float = TOLERANCE
    """Largest drift of an engine that computes in the number format of the export."""

    def drift(self, scores: Sequence[Sequence[float]]) -> float:
        """Return the largest drift of an image; ``scores`` has one row per image."""
        rows = zip(self.pictures, scores, strict=True)
        return max((drift(picture.scores, row) for picture, row in rows), default=0.0)


def drift(expected: Sequence[float], received: Sequence[float]) -> float:
    """Return the largest difference of a score, infinite for other numbers of scores and for NaN.

    Where scores exceed 1, as logits do, the difference is divided by the largest of them.
    """
    if len(expected) != len(received):
        return math.inf
    size = max([1.0, *map(abs, expected)])
    differences = [abs(a - b) / size for a, b in zip(expected, received, strict=True)]
    return max((d if math.isfinite(d) else math.inf for d in differences), default=0.0)


def write_golden(version: Path, spec: InputSpec, golden: Golden) -> None:
    """Write the images and scores into a version folder."""
    folder = version / FOLDER
    folder.mkdir(parents=True)
    for picture in golden.pictures:
        png = to_png(picture.pixels, spec.height, spec.width, spec.channels)
        (folder / f"{picture.name}.png").write_bytes(png)
    document = {
        "format": FORMAT,
        "tolerance": golden.tolerance,
        "pictures": [
            {"file": f"{picture.name}.png", "scores": list(picture.scores)}
            for picture in golden.pictures
        ],
    }
    (folder / SCORES_FILE).write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")


def read_golden(version: Path, spec: InputSpec) -> Golden | None:
    """Return the golden images of a version folder; None where it has none.

    Raises GoldenError for files that cannot be used.
    """
    folder = version / FOLDER
    try:
        text = (folder / SCORES_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GoldenError(f"{folder / SCORES_FILE} cannot be read: {error.strerror}.") from error
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"the format is {document['format']!r}; allowed is {FORMAT}")
        pictures = tuple(_picture(folder, entry, spec) for entry in document["pictures"])
        return Golden(pictures, float(document["tolerance"]))
    except _UNUSABLE as error:
        raise GoldenError(f"The golden images in {folder} cannot be used: {error}.") from error


def _picture(folder: Path, entry: Any, spec: InputSpec) -> GoldenPicture:  # noqa: ANN401 - JSON
    file = folder / Path(entry["file"]).name
    pixels = from_png(file.read_bytes(), spec.height, spec.width, spec.channels)
    scores = tuple(float(score) for score in entry["scores"])
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"a score of {file.name} is not a finite number")
    return GoldenPicture(file.stem, pixels, scores)


def to_png(pixels: bytes, height: int, width: int, channels: int) -> bytes:
    """Return a PNG file of height x width x channels bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    length = width * channels
    lines = (pixels[start : start + length] for start in range(0, height * length, length))
    data = b"".join(bytes([_UNFILTERED]) + line for line in lines)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def from_png(data: bytes, height: int, width: int, channels: int) -> bytes:
    """Return the pixels of what ``to_png`` wrote; raise ValueError for any other image."""
    wanted = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    chunks = list(_chunks(data))
    headers = [content for kind, content in chunks if kind == b"IHDR"]
    if headers != [wanted]:
        raise ValueError(f"the image is no plain PNG of {height} x {width} x {channels} bytes")
    length = width * channels + 1
    lines = _unpacked((content for kind, content in chunks if kind == b"IDAT"), height * length)
    starts = range(0, height * length, length)
    if any(lines[start] != _UNFILTERED for start in starts):
        raise ValueError("the lines of the image are filtered, so another program wrote it")
    return b"".join(lines[start + 1 : start + length] for start in starts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise ValueError("the image is no PNG file")
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def _unpacked(parts: Iterable[bytes], size: int) -> bytes:
    """Return the decompressed bytes, which must be ``size``: a file must not fill the memory."""
    decompressor = zlib.decompressobj()
    try:
        unpacked = decompressor.decompress(b"".join(parts), size + 1)
    except zlib.error as error:
        raise ValueError(f"the image is damaged: {error}") from error
    if len(unpacked) != size:
        raise ValueError("the image is damaged: it has too few or too many bytes")
    return unpacked
