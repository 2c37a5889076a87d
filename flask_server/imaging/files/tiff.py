"""Structure of TIFF files.

A decoder gets a directory with the tags that decide the pixels. Every other tag is left out, so
that its length costs nothing and its damage does no harm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from flask_server.imaging.files.structure import FileStructure

#: Maximum number of strips or tiles; an image of 65,000 rows may have each row in its own strip.
MAX_STRIPS: Final = 100_000
#: Maximum number of values of the other tags.
MAX_VALUES: Final = 64

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _COLOUR_MAP, _TILE_WIDTH, _TILE_HEIGHT = 284, 317, 320, 322, 323
_TILE_OFFSETS, _TILE_BYTES, _EXTRA_SAMPLES, _FORMAT, _JPEG_TABLES = 324, 325, 338, 339, 347
_INK_SET, _SUBSAMPLING = 332, 530
#: The most values that a tag may have, for all tags that decide the pixels.
_MOST_VALUES: Final = {
    **dict.fromkeys(
        (
            *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION),
            *(_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT),
            *(_EXTRA_SAMPLES, _FORMAT),
            *(292, 293, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 531, 532),
            *(_INK_SET, _SUBSAMPLING),
        ),
        MAX_VALUES,
    ),
    **dict.fromkeys((_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES), MAX_STRIPS),
    _COLOUR_MAP: 3 << 16,
    _JPEG_TABLES: 1 << 16,
}
_INTEGERS: Final = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_SHORT, _SEPARATE = 3, 2
#: Channels with the extra ones; Pillow would log an error for more.
_MAX_SAMPLES: Final = 6
_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = (0, 1, 2, 3, 5, 6, 8)
_COLOURS: Final = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
#: Compressions that Pillow's libtiff reads: none, CCITT, LZW, JPEG, Deflate, PackBits, LZMA,
#: Zstandard, WebP.
_COMPRESSIONS: Final = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of a TIFF or BigTIFF directory stand."""

    order: str
    big: bool

    @property
    def entry(self) -> str:
        """Struct format of an entry: tag, type, count, and the value or its offset."""
        return self.order + ("HHQ8s" if self.big else "HHL4s")

    @property
    def count(self) -> str:
        """Struct format of the number of entries."""
        return self.order + ("Q" if self.big else "H")

    @property
    def offset(self) -> str:
        """Struct format of an offset."""
        return self.order + ("Q" if self.big else "L")


class _Directory:
    """The tags of the first directory that decide the pixels."""

    def __init__(self, data: bytes) -> None:
        order = "<" if data.startswith(b"II") else ">"
        self._data = data
        self._layout = _Layout(order, big=data[2:4] in {b"+\0", b"\0+"})
        self.entries: dict[int, tuple[int, int, bytes]] = {}
        self._read()

    @property
    def is_big_endian_bigtiff(self) -> bool:
        """Whether the file is of the one layout that Pillow does not know."""
        return self._layout.big and self._layout.order == ">"

    def _read(self) -> None:
        layout = self._layout
        (at,) = struct.unpack_from(layout.offset, self._data, 8 if layout.big else 4)
        (count,) = struct.unpack_from(layout.count, self._data, at)
        at += struct.calcsize(layout.count)
        size = struct.calcsize(layout.entry)
        for place in range(at, at + size * min(count, 1 << 16), size):
            tag, kind, values, value = struct.unpack_from(layout.entry, self._data, place)
            most = _MOST_VALUES.get(tag)
            if most is None or tag in self.entries:
                continue
            if values > most:
                error = ImageTooLarge if most == MAX_STRIPS else CorruptImage
                raise error(
                    f"Tag {tag} of the TIFF image has {values} values; at most {most} are allowed."
                )
            self.entries[tag] = kind, values, value

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the integers of a tag."""
        kind, count, value = self.entries.get(tag, (0, 0, b""))
        code = _INTEGERS.get(kind)
        if code is None or not count:
            return default
        form = f"{self._layout.order}{count}{code}"
        if struct.calcsize(form) <= len(value):
            return struct.unpack_from(form, value)
        (at,) = struct.unpack(self._layout.offset, value)
        return struct.unpack_from(form, self._data, at)

    def value(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag."""
        return self.values(tag, (default,))[0]

    def check_strips(self) -> None:
        """Raise CorruptImage for more strips than rows, and for one that ends beyond the file."""
        rows = self.value(_HEIGHT) * self.value(_SAMPLES, 1)
        count = len(self.values(_STRIP_OFFSETS))
        if count > rows:
            raise CorruptImage(f"The TIFF image has {count} strips and {rows} rows.")
        for offsets, counts in ((_STRIP_OFFSETS, _STRIP_BYTES), (_TILE_OFFSETS, _TILE_BYTES)):
            strips = zip(self.values(offsets), self.values(counts), strict=False)
            if any(at + length > len(self._data) for at, length in strips):
                raise CorruptImage("The TIFF image is damaged: its pixels end too early.")

    def file(self) -> bytes:
        """Return the file with a directory that has these tags only."""
        layout, data = self._layout, self._data
        at = 8 if layout.big else 4
        place = len(data) + len(data) % 2
        colours = self._wide_colours()
        if colours:
            offset = struct.pack(layout.offset, place)
            self.entries[_COLOUR_MAP] = (_SHORT, len(colours) // 2, offset)
        head = data[:at] + struct.pack(layout.offset, place + len(colours))
        table = struct.pack(layout.count, len(self.entries)) + b"".join(
            struct.pack(layout.entry, tag, *entry) for tag, entry in sorted(self.entries.items())
        )
        end = struct.pack(layout.offset, 0)
        return b"".join((head, data[len(head) :], bytes(len(data) % 2), colours, table, end))

    def _wide_colours(self) -> bytes:
        """Return the colour map in 16 bits if an encoder has written it in 8, else nothing."""
        values = self.values(_COLOUR_MAP)
        if not values or max(values) > 255 or self.entries[_COLOUR_MAP][0] != _SHORT:
            return b""
        return struct.pack(f"{self._layout.order}{len(values)}H", *(257 * v for v in values))


def read(data: bytes) -> FileStructure:
    """Return the structure of a TIFF file, or raise an ImageError."""
    try:
        return _structure(_Directory(data))
    except struct.error as error:
        raise CorruptImage("The TIFF image is damaged: its directory ends too early.") from error


def _structure(tags: _Directory) -> FileStructure:
    width, height = tags.value(_WIDTH), tags.value(_HEIGHT)
    if not width or not height or not tags.entries.keys() & {_STRIP_OFFSETS, _TILE_OFFSETS}:
        raise CorruptImage("The TIFF image is damaged: it has no size or no pixels.")
    bits, samples = max(tags.values(_BITS, (1,))), tags.value(_SAMPLES, 1)
    photometric = tags.value(_PHOTOMETRIC)
    _check_variant(tags, bits, samples, photometric)
    tags.check_strips()
    stored = bits * max(samples, _COLOURS.get(photometric, 1)) / 8
    is_grey = samples == 1 and photometric in {_WHITE_IS_0, _BLACK_IS_0}
    held = _loaded_bytes(bits, samples, photometric)
    turned = tags.value(_ORIENTATION, 1) in range(2, 9)
    tile_pixels = tags.value(_TILE_WIDTH) * tags.value(_TILE_HEIGHT)
    return FileStructure(
        data=tags.file(),
        size=(width, height),
        loaded_bytes=held,
        # The decoded strip may be the whole image, and Pillow turns the image itself.
        peak_bytes=max(held + stored, 2 * held if turned else 0),
        is_rgb=photometric == _RGB,
        transparent=samples in {2, 4} or bool(tags.values(_EXTRA_SAMPLES)),
        fixed_bytes=int(tile_pixels * stored),
        grey_bits=bits if is_grey and bits in {12, 16} else 8,
        inverted=photometric == _WHITE_IS_0 and bits == 16,
        variant=f"{bits} bits in {samples} channels, photometric interpretation {photometric}",
    )


def _loaded_bytes(bits: int, samples: int, photometric: int) -> int:
    """Return the bytes per pixel in the mode to which Pillow decodes."""
    if samples == 1 and photometric in {_WHITE_IS_0, _BLACK_IS_0, _PALETTE}:
        return 1 if bits <= 8 else 4
    return 4


def _check_variant(tags: _Directory, bits: int, samples: int, photometric: int) -> None:
    """Raise UnsupportedImage for a valid variant that Pillow reads wrongly or not at all."""
    compression, formats = tags.value(_COMPRESSION, 1), set(tags.values(_FORMAT, (1,)))
    separate = samples > 1 and tags.value(_PLANAR, 1) == _SEPARATE
    subsampled = tags.values(_SUBSAMPLING, (2, 2)) != (1, 1)
    refusals = (
        (tags.is_big_endian_bigtiff, "is a BigTIFF with the highest byte first"),
        (compression not in _COMPRESSIONS, f"is compressed by method {compression}"),
        (samples > _MAX_SAMPLES, f"has {samples} channels"),
        (2 in formats, "has signed values"),
        (bits > 16 and formats != {3}, f"has {bits} bits per channel"),
        (formats == {3} and photometric == _WHITE_IS_0, "has fractions with white as 0"),
        (separate and bits > 8 and compression == 1, f"has planes of {bits} bits, uncompressed"),
        (separate and samples == 2, "has grey and transparency in separate planes"),
        (photometric == _CMYK and tags.value(_INK_SET, 1) != 1, "has other inks than CMYK"),
        (photometric == _YCBCR and compression == 1 and subsampled, "has subsampled colours"),
    )
    for refused, words in refusals:
        if refused:
            raise UnsupportedImage(f"The TIFF image {words}, which is not read.")
