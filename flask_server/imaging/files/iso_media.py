"""Structure of AVIF and HEIC files, which are boxes of the ISO base media format.

The largest size that the file declares for any of its images bounds the memory: an image may be
made of tiles, and it may have a thumbnail or an alpha plane. A decoder allocates by the size in
the coded data, so a file whose coded data are larger than it declares is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from flask_server.errors import CorruptImage, UnsupportedImage
from flask_server.imaging.files import av1, hevc
from flask_server.imaging.files.limit import Limit
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Size

#: Maximum number of boxes that are read; a photo of 48 tiles has about 200.
MAX_BOXES: Final = 20_000
#: Maximum number of items and of their parts in the tables of a file; such a photo has about 150.
MAX_PARTS: Final = 20_000
#: Coded frames may be larger than the image up to a multiple of this, the largest coding unit.
CODING_UNIT: Final = 64
#: Bytes of memory per pixel of a decoded image.
LOADED_BYTES: Final = 4

#: Boxes on the way to those that matter, and the bytes before their own boxes begin.
_CONTAINERS: Final = {
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"stsd": 8,
    **dict.fromkeys((b"av01", b"hvc1", b"hev1"), 78),
}
_SIZE: Final = b"ispe"
_TRACK: Final = b"tkhd"
#: Boxes that say whether there are more than 8 bits per channel: which byte, and which bits of it.
_DEPTHS: Final = {b"av1C": (2, 0x40), b"hvcC": (17, 0x07)}
_CHUNKS: Final = {b"stco": 4, b"co64": 8}
_LEAVES: Final = {_SIZE, _TRACK, *_DEPTHS, *_CHUNKS, b"stsz", b"iloc", b"idat", b"iinf"}
#: Types of items whose data are coded images.
_CODED: Final = {b"av01", b"hvc1", b"hev1"}
_IN_FILE, _IN_BOX = 0, 1

#: The offset and the length of a part of some data; 0 as the length means all the rest.
_Extent = tuple[int, int]


@dataclass(slots=True)
class _Boxes:
    """The contents of the boxes that matter, by kind."""

    found: dict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    tracks: dict[int, dict[bytes, list[bytes]]] = field(default_factory=dict)
    """Those of each sequence."""

    def add(self, track: int, kind: bytes, content: bytes) -> None:
        """Take a box of a track, or of none, which is 0."""
        self.found[kind].append(content)
        if track:
            self.tracks.setdefault(track, defaultdict(list))[kind].append(content)

    def declared(self) -> list[Size]:
        """Return the sizes of images, and those of sequences, in units of 1/65536 pixel."""
        images = [_pair(content[4:12]) for content in self.found[_SIZE]]
        tracks = [_pair(content[-8:]) for content in self.found[_TRACK]]
        return images + [(width >> 16, height >> 16) for width, height in tracks]

    def is_deep(self) -> bool:
        """Return whether a channel has more than 8 bits."""
        return any(
            len(content) > place and bool(content[place] & bits)
            for kind, (place, bits) in _DEPTHS.items()
            for content in self.found[kind]
        )


def read(data: bytes) -> FileStructure:
    """Return the structure of an AVIF or HEIC file, or raise an ImageError."""
    boxes = _Boxes()
    for leaf in _leaves(data):
        boxes.add(*leaf)
    declared = boxes.declared()
    if not declared:
        raise CorruptImage("The image is damaged: it has no size.")
    largest = max(declared, key=_pixels)
    peak = 24 if boxes.is_deep() else 16
    allocated = _allocated(data, boxes, declared)
    return FileStructure(
        data=data,
        size=largest,
        loaded_bytes=LOADED_BYTES,
        peak_bytes=peak,
        is_rgb=True,
        transparent=True,
        orientation=None,
        fixed_bytes=peak * max(0, allocated - _pixels(largest)),
    )


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _pair(content: bytes) -> Size:
    return int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")


def _allocated(data: bytes, boxes: _Boxes, declared: list[Size]) -> int:
    """Return the pixels of the largest frame for which a decoder allocates memory.

    Raises CorruptImage for coded data that are larger than each declared size.
    """
    rooms, allocated = _Rooms(declared), 0
    reads = _Reads(data, LOADED_BYTES * max(map(_pixels, declared)))
    for coded, most in _coded_sizes(data, boxes, reads):
        if not rooms.have(coded):
            width, height = max(declared, key=_pixels)
            raise CorruptImage(
                f"The image is damaged: {coded[0]}x{coded[1]} pixels are coded, and"
                f" {width}x{height} declared."
            )
        allocated = max(allocated, _pixels(coded), _pixels(most))
    return allocated


class _Rooms:
    """The declared sizes, whose sides are rounded up to the largest coding unit."""

    def __init__(self, declared: list[Size]) -> None:
        rooms = sorted((_padded(width), _padded(height)) for width, height in declared)
        self._widths = [width for width, _ in rooms]
        heights = accumulate((height for _, height in reversed(rooms)), max)
        self._heights = list(heights)[::-1]
        """The largest height of each width and all larger ones."""

    def have(self, size: Size) -> bool:
        """Tell whether the size fits into a declared one."""
        index = bisect_left(self._widths, size[0])
        return index < len(self._widths) and size[1] <= self._heights[index]


def _padded(side: int) -> int:
    return -(-side // CODING_UNIT) * CODING_UNIT


def _coded_sizes(data: bytes, boxes: _Boxes, reads: _Reads) -> Iterator[tuple[Size, Size]]:
    """Yield sizes that coded data declare, each with the largest size of a frame."""
    configurations = boxes.found[b"hvcC"]
    lengths = {hevc.length_bytes(configuration) for configuration in configurations}
    if len(lengths) > 1:
        raise UnsupportedImage("The HEIC image has lengths of several sizes, which is not read.")
    av1_units, hevc_units = av1.unit_limit(), hevc.unit_limit()
    for configuration in configurations:
        yield from ((size, size) for size in hevc.configured_sizes(configuration, hevc_units))
    for is_av1, stream in _streams(data, boxes, reads):
        if is_av1:
            yield from av1.frame_sizes(stream, av1_units)
        else:
            for size in hevc.stream_sizes(stream, max(lengths, default=4), hevc_units):
                yield size, size


class _Reads:
    """Reads coded data; those of all images are at most twice as long as the file.

    An encoder may store the data of equal tiles once; they are copied once. A decoder reads them
    for each tile: with these, all are at most twice as long as the file and the decoded image.
    """

    def __init__(self, data: bytes, decoded_bytes: int) -> None:
        self._left = 2 * len(data)
        self._decoder_left = 2 * (len(data) + decoded_bytes)
        self._shared: dict[tuple[int, _Extent], bytes] = {}

    def item(self, method: int, source: bytes, extents: Sequence[_Extent]) -> bytes:
        """Return the data of an item; raise CorruptImage for more than is allowed.

        Data in several parts are not shared: a decoder joins them again for each item.
        """
        if len(extents) != 1:
            return self.joined(source, extents)
        key = method, extents[0]
        if key not in self._shared:
            self._shared[key] = self.joined(source, extents)
        self._decoder_left -= len(self._shared[key])
        if self._decoder_left < 0:
            raise _overlap()
        return self._shared[key]

    def joined(self, source: bytes, extents: Sequence[_Extent]) -> bytes:
        """Return the parts of the source one after the other; raise CorruptImage beyond that."""
        parts = [
            memoryview(source)[at : at + length] if length else memoryview(source)[at:]
            for at, length in extents
        ]
        self._left -= sum(map(len, parts))
        if self._left < 0:
            raise _overlap()
        return b"".join(parts)


def _overlap() -> CorruptImage:
    return CorruptImage("The image is damaged: its parts overlap.")


def _streams(data: bytes, boxes: _Boxes, reads: _Reads) -> Iterator[tuple[bool, bytes]]:
    """Yield the coded data of each image, and of the first frame of each sequence."""
    parts = Limit(MAX_PARTS, "items and parts of items")
    kinds = dict(item for content in boxes.found[b"iinf"] for item in _item_types(content, parts))
    stored = b"".join(boxes.found[b"idat"][:1])
    for content in boxes.found[b"iloc"]:
        for item, method, extents in _ItemLocations(content, parts).all():
            if kinds.get(item) not in _CODED:
                continue
            if method not in {_IN_FILE, _IN_BOX}:
                raise UnsupportedImage("The image is stored within another item; this is not read.")
            source = data if method == _IN_FILE else stored
            yield kinds[item] == b"av01", reads.item(method, source, extents)
    for track in boxes.tracks.values():
        yield b"av1C" in track, reads.joined(data, _first_frame(track))


def _first_frame(track: dict[bytes, list[bytes]]) -> list[_Extent]:
    """Return where the first frame of a sequence is; the decoder reads no other."""
    places = [
        int.from_bytes(content[8 : 8 + width], "big")
        for kind, width in _CHUNKS.items()
        for content in track[kind]
    ]
    lengths = [
        int.from_bytes(content[4:8], "big") or int.from_bytes(content[12:16], "big")
        for content in track[b"stsz"]
    ]
    if len(places) > 1 or len(lengths) > 1:
        raise CorruptImage("The image is damaged: a sequence has several tables of its frames.")
    return [extent for extent in zip(places, lengths, strict=False) if extent[1]]


def _item_types(content: bytes, parts: Limit) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the type of each item of a box ``iinf``."""
    at = 6 if content[:1] == b"\0" else 8
    while at + 8 <= len(content):
        parts.count()
        start, stop, kind = _box(content, at, len(content))
        version = content[start] if start < stop else 0
        width = 4 if version == 3 else 2
        if kind == b"infe" and version >= 2:
            place = start + 4
            number = int.from_bytes(content[place : place + width], "big")
            yield number, content[place + width + 2 : place + width + 6]
        at = stop


class _ItemLocations:
    """Reader of a box ``iloc``."""

    def __init__(self, content: bytes, parts: Limit) -> None:
        self._content, self._at, self._parts = content, 4, parts
        self._version = content[0] if content else 0
        sizes = self._take(2)
        self._offset, self._length, self._base, self._index = (
            sizes >> shift & 15 for shift in (12, 8, 4, 0)
        )

    def all(self) -> Iterator[tuple[int, int, list[_Extent]]]:
        """Yield the number, the construction method, and the offsets and lengths of each item."""
        width = 4 if self._version >= 2 else 2
        for _ in range(self._take(width)):
            number = self._take(width)
            method = self._take(2) & 15 if self._version else _IN_FILE
            self._take(2)
            base = self._take(self._base)
            count = self._take(2)
            self._parts.count(1 + count)  # an item or a part may take no byte of the file
            yield number, method, [self._extent(base) for _ in range(count)]

    def _extent(self, base: int) -> _Extent:
        if self._version:
            self._take(self._index)
        return base + self._take(self._offset), self._take(self._length)

    def _take(self, count: int) -> int:
        value = self._content[self._at : self._at + count]
        if len(value) < count:
            raise CorruptImage("The image is damaged: the places of its items end too early.")
        self._at += count
        return int.from_bytes(value, "big")


def _leaves(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the track, the kind and the content of the boxes that matter."""
    open_boxes, seen = [(0, len(data), 0)], 0
    while open_boxes:
        at, end, track = open_boxes.pop()
        while at + 8 <= end:
            seen += 1
            if seen > MAX_BOXES:
                raise CorruptImage(f"The image has more than {MAX_BOXES} boxes.")
            start, stop, kind = _box(data, at, end)
            if kind in _CONTAINERS:
                inner = seen if kind == b"trak" else track
                open_boxes.append((start + _CONTAINERS[kind], stop, inner))
            elif kind in _LEAVES:
                yield track, kind, data[start:stop]
            at = stop


def _box(data: bytes, at: int, end: int) -> tuple[int, int, bytes]:
    """Return where the content of a box begins and ends, and its kind."""
    length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
    if length == 1:
        length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    stop = end if length == 0 else min(end, at + length)
    return start, max(stop, start), kind
