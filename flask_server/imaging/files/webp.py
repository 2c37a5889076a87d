"""Structure of WebP files: the size of the canvas, and the orientation."""

from __future__ import annotations

from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.exif import orientation
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Size

#: Maximum number of chunks; those of an animation count, since its decoder reads all of them.
MAX_CHUNKS: Final = 100_000


def read(data: bytes) -> FileStructure:
    """Return the structure of a WebP file, or raise an ImageError."""
    kind, head = data[12:16], data[20:30]
    size = _size(kind, head)
    if size is None:
        raise CorruptImage("The WEBP image is damaged: it has no header.")
    exif, xmp = _metadata(data)
    transparent = kind == b"VP8L" or (kind == b"VP8X" and bool(head[0] & 0x12))
    return FileStructure(
        data=data,
        size=size,
        loaded_bytes=4,
        peak_bytes=17,
        is_rgb=True,
        transparent=transparent,
        orientation=orientation(exif, xmp),
    )


def _size(kind: bytes, head: bytes) -> Size | None:
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) >= 10:
        width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        return width, height
    if kind == b"VP8L" and head[:1] == b"\x2f":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(head) >= 10:
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (4, 7))
        return width, height
    return None


def _metadata(data: bytes) -> tuple[bytes, bytes]:
    """Return the EXIF block and the XMP packet."""
    found = {b"EXIF": b"", b"XMP ": b""}
    at = 12
    for _ in range(MAX_CHUNKS):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not kind:
            return found[b"EXIF"], found[b"XMP "]
        if kind in found:
            found[kind] = found[kind] or data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise CorruptImage(f"The WEBP image has more than {MAX_CHUNKS} chunks.")
