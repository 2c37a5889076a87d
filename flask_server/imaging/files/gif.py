"""Structure of GIF files: the first frame, and the canvas on which it stands."""

from __future__ import annotations

from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.structure import FileStructure

#: Maximum number of blocks before the first frame: comments and data of applications.
MAX_BLOCKS: Final = 100_000

_EXTENSION, _FRAME, _CONTROL, _TRAILER = 0x21, 0x2C, 0xF9, 0x3B
_PALETTE_FLAG: Final = 0x80


def read(data: bytes) -> FileStructure:
    """Return the structure of a GIF file, or raise an ImageError."""
    flags = data[10] if len(data) > 12 else 0
    start = 13 + _palette_bytes(flags)
    frame, control = _first_frame(data, start)
    left, top, width, height = (
        int.from_bytes(data[i : i + 2], "little") for i in range(frame + 1, frame + 9, 2)
    )
    right, bottom = left + width, top + height
    canvas = [int.from_bytes(data[i : i + 2], "little") for i in (6, 8)]
    size = max(canvas[0], right), max(canvas[1], bottom)
    covers = (left, top, right, bottom) == (0, 0, *size)
    transparent = bool(control and control[3] & 1)
    return FileStructure(
        data=data[:start] + control + data[frame:],
        size=size,
        loaded_bytes=1,
        peak_bytes=1,
        transparent=transparent or not covers,
        frame=None if covers or transparent else (left, top, right, bottom),
    )


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & _PALETTE_FLAG else 0


def _first_frame(data: bytes, at: int) -> tuple[int, bytes]:
    """Return where the first frame begins, and the control extension that belongs to it."""
    control = b""
    blocks = 0
    while blocks < MAX_BLOCKS:
        kind = data[at] if at < len(data) else _TRAILER
        if kind == _FRAME:
            return at, control
        if kind == _TRAILER:
            raise CorruptImage("The GIF image is damaged: it has no frame.")
        blocks += 1
        if kind != _EXTENSION:  # stray bytes between blocks
            at += 1
            continue
        begin, at = at, at + 2
        while blocks < MAX_BLOCKS and at < len(data) and data[at]:
            at += 1 + data[at]
            blocks += 1
        at += 1
        if data[begin + 1 : begin + 2] == bytes((_CONTROL,)) and at - begin == 8:
            control = data[begin:at]
    raise CorruptImage(f"The GIF image has more than {MAX_BLOCKS} blocks before its first frame.")
