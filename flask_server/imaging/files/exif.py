"""Read the orientation out of metadata, and nothing else of it."""

from __future__ import annotations

import re
import struct

_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
#: Integer types of one value: their struct codes by the TIFF type.
_INTEGERS = {3: "H", 4: "L", 8: "h", 9: "l"}
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation of an EXIF block, else of an XMP packet; 1 if none is valid."""
    value = _of_exif(exif)
    if value is None and (found := _IN_XMP.search(xmp)):
        value = int(found[1])
    return value if value is not None and 1 <= value <= 8 else 1


def _of_exif(exif: bytes) -> int | None:
    start = len(_PREFIX) if exif.startswith(_PREFIX) else 0
    order = _BYTE_ORDERS.get(exif[start : start + 2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "L", exif, start + 4)
        (count,) = struct.unpack_from(order + "H", exif, start + first)
        for entry in range(count):
            at = start + first + 2 + 12 * entry
            tag, kind, values = struct.unpack_from(order + "HHL", exif, at)
            if tag == _ORIENTATION and kind in _INTEGERS and values == 1:
                return int(struct.unpack_from(order + _INTEGERS[kind], exif, at + 8)[0])
    except struct.error:  # the block ends too early
        return None
    return None
