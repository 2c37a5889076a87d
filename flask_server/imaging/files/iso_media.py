"""Structure of AVIF and HEIC files, which are boxes of the ISO base media format.

The largest size that the file declares for any of its images bounds the memory: an image may be
made of tiles, and it may have a thumbnail or an alpha plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Size

#: Maximum number of boxes that are read; a photo of 48 tiles has about 200.
MAX_BOXES: Final = 20_000

#: Boxes on the way to the sizes, and the bytes before their own boxes begin.
_CONTAINERS: Final = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
_SIZE: Final = b"ispe"
#: Boxes that say whether there are more than 8 bits per channel: which byte, and which bits of it.
_DEPTHS: Final = {b"av1C": (2, 0x40), b"hvcC": (17, 0x07)}
_TRACK: Final = b"tkhd"


def read(data: bytes) -> FileStructure:
    """Return the structure of an AVIF or HEIC file, or raise an ImageError."""
    sizes, deep = [], False
    for kind, content in _properties(data):
        if kind in _DEPTHS:
            place, bits = _DEPTHS[kind]
            deep = deep or len(content) > place and bool(content[place] & bits)
        else:
            sizes.append(_size(kind, content))
    if not sizes:
        raise CorruptImage("The image is damaged: it has no size.")
    return FileStructure(
        data=data,
        size=max(sizes, key=lambda size: size[0] * size[1]),
        loaded_bytes=4,
        peak_bytes=24 if deep else 16,
        is_rgb=True,
        transparent=True,
        orientation=None,
    )


def _size(kind: bytes, content: bytes) -> Size:
    """Return the size of an image, or of a sequence in units of 1/65536 pixel."""
    pair = content[4:12] if kind == _SIZE else content[-8:]
    width, height = (int.from_bytes(pair[i : i + 4], "big") for i in (0, 4))
    return (width, height) if kind == _SIZE else (width >> 16, height >> 16)


def _properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of the boxes that matter."""
    open_boxes, seen = [(0, len(data))], 0
    while open_boxes:
        at, end = open_boxes.pop()
        while at + 8 <= end:
            seen += 1
            if seen > MAX_BOXES:
                raise CorruptImage(f"The image has more than {MAX_BOXES} boxes.")
            start, stop, kind = _box(data, at, end)
            if kind in _CONTAINERS:
                open_boxes.append((start + _CONTAINERS[kind], stop))
            elif kind in {_SIZE, _TRACK, *_DEPTHS}:
                yield kind, data[start : min(stop, start + 128)]
            at = stop


def _box(data: bytes, at: int, end: int) -> tuple[int, int, bytes]:
    """Return where the content of a box begins and ends, and its kind."""
    length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
    if length == 1:
        length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    stop = end if length == 0 else min(end, at + length)
    return start, max(stop, start), kind
