"""Structure of TIFF files.

A decoder gets a directory with the tags that decide the pixels. Every other tag is left out, so
that its length costs nothing and its damage does no harm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import Final

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from flask_server.imaging import libtiff
from flask_server.imaging.files import tiff_samples
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.files.tiff_samples import Samples
from flask_server.imaging.geometry import Size

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
#: Bytes of a value, by type.
_SIZES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
#: Types of 64 bits, which BigTIFF only has.
_LONG_INTEGERS: Final = {16, 17, 18}
_SHORT, _LONG, _SEPARATE, _FRACTIONS = 3, 4, 2, 3
#: Channels with the extra ones; Pillow would log an error for more.
_MAX_SAMPLES: Final = 6
_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = (0, 1, 2, 3, 5, 6, 8)
_COLOURS: Final = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
#: Compressions that Pillow reads: none, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard, WebP.
#: A libtiff may be built without some of them.
_COMPRESSIONS: Final = libtiff.decodable(
    (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001)
)
#: Those of LZW, Deflate, LZMA and Zstandard, whose samples may be differences, and all that
#: compress bytes, whatever they mean.
_PREDICTED: Final = {5, 8, 32946, 34925, 50000}
_BYTEWISE: Final = _PREDICTED | {1, 32773}
#: Orientations that turn or mirror the image.
_TURNED: Final = range(2, 9)
#: Bytes of memory in which samples are converted.
_BAND_BYTES: Final = 32 * tiff_samples.BAND_SAMPLES


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
    def order(self) -> str:
        """The byte order: ``<`` or ``>``."""
        return self._layout.order

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

    def check_strips(self, decoded_bytes: int) -> None:
        """Raise CorruptImage for more strips than rows, and for one that ends beyond the file.

        Strips may be the same part of the file, which is decoded again for each of them: all
        together are at most twice as long as the file and the decoded image. Each table of lengths
        counts as a whole: libtiff takes lengths without offsets, and tiles' tables for strips.
        """
        for tag in (_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES):
            if self.entries.get(tag, (_LONG,))[0] not in _INTEGERS:
                raise CorruptImage(f"Tag {tag} of the TIFF image has another type than integers.")
        rows = self.value(_HEIGHT) * self.value(_SAMPLES, 1)
        count = len(self.values(_STRIP_OFFSETS))
        if count > rows:
            raise CorruptImage(f"The TIFF image has {count} strips and {rows} rows.")
        for offsets, counts in ((_STRIP_OFFSETS, _STRIP_BYTES), (_TILE_OFFSETS, _TILE_BYTES)):
            strips = [*zip(self.values(offsets), self.values(counts), strict=False)]
            if any(at + length > len(self._data) for at, length in strips):
                raise CorruptImage("The TIFF image is damaged: its pixels end too early.")
            if sum(self.values(counts)) > 2 * (len(self._data) + decoded_bytes):
                raise CorruptImage("The TIFF image is damaged: its parts overlap.")

    def replace(self, tag: int, value: int) -> None:
        """Give a tag one integer."""
        packed = struct.pack(f"{self._layout.order}L", value)
        self.entries[tag] = (_LONG, 1, packed + bytes(4 * self._layout.big))

    def file(self) -> bytes:
        """Return the file with a directory that has these tags only.

        BigTIFF with the highest byte first, which Pillow does not know, becomes TIFF.
        """
        layout, data = self._layout, self._data
        if layout.big and layout.order == ">":
            return self._as_small_tiff()
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

    def _as_small_tiff(self) -> bytes:
        """Return the file with a directory and offsets of 32 bits, which any image here has."""
        entries, values, place = [], [], len(self._data) + len(self._data) % 2
        for tag, (kind, count, _) in sorted(self.entries.items()):
            if kind in _LONG_INTEGERS:
                kind, content = _LONG, struct.pack(f">{count}L", *self.values(tag))
            else:
                content = self._content(tag)
            if tag == _COLOUR_MAP:
                content = self._wide_colours() or content
            if len(content) > 4:
                values.append(content + bytes(len(content) % 2))
                content, place = struct.pack(">L", place), place + len(values[-1])
            entries.append(struct.pack(">HHL4s", tag, kind, count, content))
        head = b"MM\0*" + struct.pack(">L", place)
        table = struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
        rest = self._data[len(head) :] + bytes(len(self._data) % 2)
        return b"".join((head, rest, *values, table))

    def _content(self, tag: int) -> bytes:
        """Return the bytes of a tag's values."""
        kind, count, value = self.entries[tag]
        size = _SIZES.get(kind, 1) * count
        if size <= len(value):
            return value[:size]
        (at,) = struct.unpack(self._layout.offset, value)
        return self._data[at : at + size]

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
    size = tags.value(_WIDTH), tags.value(_HEIGHT)
    if not all(size) or not tags.entries.keys() & {_STRIP_OFFSETS, _TILE_OFFSETS}:
        raise CorruptImage("The TIFF image is damaged: it has no size or no pixels.")
    bits, samples = max(tags.values(_BITS, (1,))), tags.value(_SAMPLES, 1)
    photometric = tags.value(_PHOTOMETRIC)
    _check_variant(tags, bits, samples, photometric)
    tags.check_strips(int(_stored_bytes(bits, samples, photometric) * size[0] * size[1]))
    form = _samples(tags, bits, samples, photometric)
    if form is None:
        return _read_by_pillow(tags, size, bits, samples, photometric)
    return _read_as_bytes(tags, size, form)


def _read_as_bytes(tags: _Directory, size: Size, form: Samples) -> FileStructure:
    """Return the structure of samples that Pillow cannot read."""
    orientation, tile_pixels = tags.value(_ORIENTATION, 1), _tile_pixels(tags)
    _describe_bytes(tags, form, size[0])
    data = tags.file()
    return FileStructure(
        data=data,
        size=size,
        loaded_bytes=4,
        # The decoded strip may be the whole image, too.
        peak_bytes=form.pixel_bytes + max(form.pixel_bytes, 4),
        transparent=form.mode in {"LA", "La"},
        fixed_bytes=tile_pixels * form.pixel_bytes + _BAND_BYTES,
        orientation=orientation if orientation in _TURNED else 1,
        draw=partial(tiff_samples.draw, data, size, form),
    )


def _read_by_pillow(
    tags: _Directory, size: Size, bits: int, samples: int, photometric: int
) -> FileStructure:
    stored = _stored_bytes(bits, samples, photometric)
    held = _loaded_bytes(bits, samples, photometric)
    turned = tags.value(_ORIENTATION, 1) in _TURNED
    is_grey = samples == 1 and photometric in {_WHITE_IS_0, _BLACK_IS_0}
    return FileStructure(
        data=tags.file(),
        size=size,
        loaded_bytes=held,
        # The decoded strip may be the whole image, and Pillow turns the image itself.
        peak_bytes=max(held + stored, 2 * held if turned else 0),
        is_rgb=photometric == _RGB,
        transparent=samples in {2, 4} or bool(tags.values(_EXTRA_SAMPLES)),
        fixed_bytes=int(_tile_pixels(tags) * stored),
        grey_bits=bits if is_grey and bits in {12, 16} else 8,
        inverted=photometric == _WHITE_IS_0 and bits == 16,
        variant=_in_words(tags, bits, samples, photometric),
    )


def _tile_pixels(tags: _Directory) -> int:
    """Return the number of pixels of a tile; 0 for an image in strips."""
    return tags.value(_TILE_WIDTH) * tags.value(_TILE_HEIGHT)


def _samples(tags: _Directory, bits: int, samples: int, photometric: int) -> Samples | None:
    """Return how to read samples that Pillow cannot read; None if it can, or nobody here can."""
    formats, extra = set(tags.values(_FORMAT, (1,))), tags.values(_EXTRA_SAMPLES)
    compression = tags.value(_COMPRESSION, 1)
    if photometric not in {_WHITE_IS_0, _BLACK_IS_0} or compression not in _BYTEWISE:
        return None
    predictor = _predictor(tags)
    swapped = bits == 32 and _is_swapped(tags)
    if (samples, formats, predictor) == (1, {_FRACTIONS}, 1) and (bits == 64 or swapped):
        return tiff_samples.fractions(f"{tags.order}f{bits // 8}")
    inverted = photometric == _WHITE_IS_0
    unread = {
        (8, 2): inverted,
        (16, 1): inverted and tags.order == ">",
        (16, 2): True,
    }
    if formats != {1} or not unread.get((bits, samples)) or predictor not in {1, 2}:
        return None
    if len(extra) != samples - 1 or not set(extra) <= {0, 1, 2}:
        return None
    differences = tags.value(_TILE_WIDTH) or tags.value(_WIDTH) if predictor == 2 else 0
    return tiff_samples.grey(f"{tags.order}u{bits // 8}", extra, differences, inverted=inverted)


def _predictor(tags: _Directory) -> int:
    return tags.value(_PREDICTOR, 1) if tags.value(_COMPRESSION, 1) in _PREDICTED else 1


def _is_swapped(tags: _Directory) -> bool:
    """Whether libtiff changes the byte order of fractions, and Pillow does so once more."""
    return tags.order == ">" and tags.value(_COMPRESSION, 1) != 1


def _describe_bytes(tags: _Directory, form: Samples, width: int) -> None:
    """Let the directory describe an image of bytes, without channels and their meaning."""
    for tag in (_PREDICTOR, _EXTRA_SAMPLES, _FORMAT, _PLANAR, _ORIENTATION):
        tags.entries.pop(tag, None)
    tags.replace(_WIDTH, width * form.pixel_bytes)
    if _TILE_WIDTH in tags.entries:
        tags.replace(_TILE_WIDTH, tags.value(_TILE_WIDTH) * form.pixel_bytes)
    tags.replace(_BITS, 8)
    tags.replace(_SAMPLES, 1)
    tags.replace(_PHOTOMETRIC, _BLACK_IS_0)


def _in_words(tags: _Directory, bits: int, samples: int, photometric: int) -> str:
    what = "fractions of " if _FRACTIONS in tags.values(_FORMAT, (1,)) else ""
    predictor = _predictor(tags)
    predicted = f", predictor {predictor}" if predictor != 1 else ""
    channels = f"{samples} channel{'s' if samples != 1 else ''}"
    return f"{what}{bits} bits in {channels}, photometric interpretation {photometric}{predicted}"


def _stored_bytes(bits: int, samples: int, photometric: int) -> float:
    """Return the bytes per pixel that the file has without compression."""
    return bits * max(samples, _COLOURS.get(photometric, 1)) / 8


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
    extra = tags.values(_EXTRA_SAMPLES)
    refusals = (
        (compression not in _COMPRESSIONS, f"is compressed by method {compression}"),
        (samples > _MAX_SAMPLES, f"has {samples} channels"),
        (2 in formats, "has signed values"),
        (bits > 16 and formats != {_FRACTIONS}, f"has {bits} bits per channel"),
        (
            formats == {_FRACTIONS} and _predictor(tags) != 1 and _is_swapped(tags),
            f"has fractions with the highest byte first and predictor {_predictor(tags)}",
        ),
        (formats == {_FRACTIONS} and photometric == _WHITE_IS_0, "has fractions with white as 0"),
        (separate and bits > 8 and compression == 1, f"has planes of {bits} bits, uncompressed"),
        (separate and samples == 2, "has grey and transparency in separate planes"),
        (separate and samples > 4 and any(extra), f"has {samples} channels in separate planes"),
        (
            separate and compression == 1 and 1 in extra,
            "has premultiplied transparency in separate planes, uncompressed",
        ),
        (
            separate and (photometric == _LAB or (photometric == _YCBCR and compression == 1)),
            f"has separate planes of photometric interpretation {photometric}",
        ),
        (photometric == _CMYK and tags.value(_INK_SET, 1) != 1, "has other inks than CMYK"),
        (photometric == _YCBCR and compression == 1 and subsampled, "has subsampled colours"),
    )
    for refused, words in refusals:
        if refused:
            raise UnsupportedImage(f"The TIFF image {words}, which is not read.")
