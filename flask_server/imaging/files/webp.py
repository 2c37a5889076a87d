"""Structure of WebP files: the size of the canvas, its first frame, and the orientation."""

from __future__ import annotations

from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.exif import orientation
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Box, Size

_ALPHA, _ANIMATED = 0x10, 0x02
#: Maximum number of chunks; those of an animation count, since its decoder reads all of them.
MAX_CHUNKS: Final = 100_000
#: Bytes of a frame before its pixels: offset, size, duration and flags.
_FRAME_BYTES: Final = 16


def read(data: bytes) -> FileStructure:
    """Return the structure of a WebP file, or raise an ImageError."""
    kind, head = data[12:16], data[20:30]
    size = _size(kind, head)
    if size is None:
        raise CorruptImage("The WEBP image is damaged: it has no header.")
    chunks = _first_chunks(data)
    flags = head[0] if kind == b"VP8X" else 0
    frame = _frame(chunks[b"ANMF"]) if flags & _ANIMATED else None
    covers = frame is None or frame == (0, 0, *size)
    transparent = kind == b"VP8L" or bool(flags & (_ALPHA | _ANIMATED))
    return FileStructure(
        data=data,
        size=size,
        loaded_bytes=4,
        peak_bytes=17,
        is_rgb=True,
        transparent=transparent,
        orientation=orientation(chunks[b"EXIF"], chunks[b"XMP "]),
        # With alpha, the decoder makes the rest of the canvas transparent, else black.
        frame=None if covers or flags & _ALPHA else frame,
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


def _frame(content: bytes) -> Box | None:
    """Return the part of the canvas that a frame covers."""
    if len(content) < _FRAME_BYTES:
        return None
    left, top, width, height = (int.from_bytes(content[i : i + 3], "little") for i in (0, 3, 6, 9))
    return 2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1


def _first_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the EXIF block, the XMP packet and the head of the first frame of an animation."""
    found = {b"EXIF": b"", b"XMP ": b"", b"ANMF": b""}
    at = 12
    for _ in range(MAX_CHUNKS):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not kind:
            return found
        if kind in found and not found[kind]:
            length_kept = _FRAME_BYTES if kind == b"ANMF" else length
            found[kind] = data[at + 8 : at + 8 + length_kept]
        at += 8 + length + length % 2
    raise CorruptImage(f"The WEBP image has more than {MAX_CHUNKS} chunks.")
