"""The work of each reader is bounded by the size of the file, whatever part of it is repeated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from flask_server.errors import CorruptImage
from flask_server.imaging.files import bmp, gif, iso_media, jpeg, png, tiff, webp
from flask_server.imaging.files.iso_media import MAX_PARTS
from tests.flask_server.imaging.reader_work import work_of

#: Lines of a reader per byte of the file, and for a file of no size: up to the limits of its parts.
LINES_PER_BYTE, LINES = 8, 300_000
#: Bytes that are copied, and held, per byte of the file, and for a file of no size.
COPIES, MORE_BYTES = 12, 8 << 20


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">L", 8 + len(content)) + kind + content


def size_box(width: int, height: int) -> bytes:
    return box(b"ispe", bytes(4), struct.pack(">LL", width, height))


def iso_file(*boxes: bytes, declared: bytes = size_box(64, 64), kind: bytes = b"av01") -> bytes:
    """A file with one item, number 1, of this kind."""
    entry = box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), kind)
    items = box(b"iinf", bytes(4), struct.pack(">H", 1), entry)
    properties = box(b"iprp", box(b"ipco", declared))
    return box(b"meta", bytes(4), items, properties, *boxes)


def locations(sizes: int, *items: bytes) -> bytes:
    """A box ``iloc`` whose offsets, lengths and bases have these bytes."""
    return box(b"iloc", bytes(4), struct.pack(">HH", sizes, len(items)), *items)


def location(extents: int, content: bytes = b"", base: bytes = b"") -> bytes:
    """The parts of item 1."""
    return struct.pack(">HH", 1, 0) + base + struct.pack(">H", extents) + content


def unit(kind: int, content: bytes) -> bytes:
    """A unit of AV1 with its length."""
    return bytes((kind << 3 | 2, len(content))) + content


def sequence(side: int) -> bytes:
    """A reduced sequence header of AV1 with pictures of this side, below 1024."""
    bits = f"{0:04b}1{0:05b}{9:04b}{9:04b}{side - 1:010b}{side - 1:010b}".ljust(40, "0")
    return unit(1, int(bits, 2).to_bytes(5, "big"))


def parameter_set() -> bytes:
    """A sequence parameter set of HEVC of 64 x 64 pixels."""
    fields = "0" * (4 + 3 + 1 + 88 + 8) + "1" + "010" + f"{65:013b}" * 2
    content = int(fields.ljust(-(-len(fields) // 8) * 8, "0"), 2).to_bytes(18, "big")
    return b"\x42\x01" + content


def items_without_bytes(count: int) -> bytes:
    return iso_file(locations(0, *[location(65_535)] * count))


def parts_to_the_end(count: int) -> bytes:
    return iso_file(locations(0, location(count)), box(b"idat", bytes(count)))


def tables_of_frames(count: int) -> bytes:
    places = [box(b"stco", struct.pack(">LLL", 0, 1, 8))] * count
    sizes = [box(b"stsz", struct.pack(">LLL", 0, 20, 1))] * count
    head = box(b"tkhd", bytes(4), struct.pack(">LL", 64 << 16, 64 << 16))
    return box(b"moov", box(b"trak", head, *places, *sizes, box(b"av1C", bytes(4))))


def tracks(count: int) -> bytes:
    """Sequences whose first frame is the same: all of the file."""
    table = (
        box(b"stco", struct.pack(">LLL", 0, 1, 0)),
        box(b"stsz", struct.pack(">LLL", 0, 1 << 30, 1)),
    )
    return box(b"moov", *[box(b"trak", *table, size_box(64, 64))] * count)


def sizes(count: int) -> bytes:
    """A stream of sequences, and as many declared sizes of which the last one fits."""
    declared = b"".join(size_box(64, side) for side in range(1, count)) + size_box(1024, 1024)
    stream = sequence(1000) * count
    start = 0
    for _ in range(2):
        part = location(1, struct.pack(">LL", start, len(stream)))
        file = iso_file(locations(0x4400, part), declared=declared)
        start = len(file)
    return file + stream


#: A unit of HEVC with its length in one byte.
LONG_UNIT = b"\xff" + bytes(255)


def same_streams(count: int, units: int = 200, unit: bytes = b"\0", parts: int = 1) -> bytes:
    """Pictures of HEVC whose data, in one or two parts, are the same units; by default empty."""
    length = len(unit) * units
    declared = size_box(64, 64) + box(b"hvcC", bytes(22))
    start = 0
    for _ in range(2):  # the table of places has the same size with any places
        extents = [(start, length)]
        if parts == 2:
            extents = [(start, 1), (start + 1, length - 1)]
        part = location(parts, b"".join(struct.pack(">LL", *extent) for extent in extents))
        table = locations(0x4400, *[part] * count)
        file = iso_file(table, kind=b"hvc1", declared=declared)
        start = len(file)
    return file + unit * units


def parameter_sets(count: int) -> bytes:
    content = parameter_set()
    unit_ = struct.pack(">H", len(content)) + content
    return iso_file(box(b"hvcC", bytes(22), b"\1\x21", struct.pack(">H", count), unit_ * count))


def item_kinds(count: int) -> bytes:
    entry = box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"av01")
    return iso_file(box(b"iinf", bytes(4), struct.pack(">H", 0), entry * count))


def empty_boxes(count: int) -> bytes:
    return iso_file(box(b"free") * count)


def nested_boxes(count: int) -> bytes:
    data = size_box(64, 64)
    for _ in range(count):
        data = box(b"iprp", data)
    return data


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """A chunk of PNG; nobody checks its sum here."""
    return struct.pack(">L", len(content)) + kind + content + bytes(4)


def png_file(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT") + chunk(b"IEND")


def profile(text: bytes) -> bytes:
    """A chunk with a compressed EXIF block, as ImageMagick writes it."""
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


def profiles(count: int) -> bytes:
    return png_file(profile(b"\n" * 100_000) * count)


def empty_chunks(count: int) -> bytes:
    return png_file(*[chunk(kind) for kind in (b"tRNS", b"PLTE", b"eXIf", b"tEXt")] * count)


def pixel_chunks(count: int) -> bytes:
    return png_file((chunk(b"IDAT") + chunk(b"abCd")) * count)


def segment(marker: int, content: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def jpeg_file(*segments: bytes, scans: bytes = b"") -> bytes:
    """A progressive JPEG of one channel."""
    frame = segment(0xC2, struct.pack(">BHHBBBB", 8, 8, 8, 1, 1, 0x11, 0))
    return b"\xff\xd8" + b"".join(segments) + frame + segment(0xDA, b"\1\1\0\0\0\0") + scans


def exif_segments(count: int) -> bytes:
    return jpeg_file(segment(0xE1, b"Exif\0\0" + bytes(50)) * count)


def other_segments(count: int) -> bytes:
    return jpeg_file((segment(0xE1) + segment(0xE0, b"JFIF\0") + segment(0xDB)) * count)


def fill_bytes(count: int) -> bytes:
    return jpeg_file(b"\xff" * count + segment(0xFE), scans=(b"\xff" * count + b"\0") * 2)


def scans(count: int) -> bytes:
    return jpeg_file(scans=segment(0xDA) * count)


def gif_blocks(count: int) -> bytes:
    blocks = b"!\xf9\4\0\0\0\0\0" + b"!\xfe\1x\1x\0" + b"x"
    return b"GIF89a" + bytes(7) + blocks * count + b"," + bytes(9)


def webp_chunks(count: int) -> bytes:
    head = b"VP8X" + struct.pack("<L", 10) + bytes(10)
    chunks = b"".join(kind + bytes(4) for kind in (b"EXIF", b"XMP ", b"ANMF", b"abcd"))
    return b"RIFF" + bytes(4) + b"WEBP" + head + chunks * count


def run_lengths(count: int) -> bytes:
    """Pixels of BMP in runs of one pixel, and literal ones."""
    runs = b"\1\0" + b"\0\3abc\0" + b"\0\2\0\0" + b"\0\0"
    header = struct.pack("<LllHHLLllLL", 40, 8, 10_000, 1, 8, 1, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LLL", 0, 0, 54) + header + runs * count


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHLL", tag, kind, count, value)


def tiff_file(entries: list[bytes], tail: bytes = b"") -> bytes:
    """A TIFF of 8 x 1000 grey pixels; the tail begins behind its directory."""
    usual = [entry(256, 3, 1, 8), entry(257, 3, 1, 1000), entry(262, 3, 1, 1)]
    table = [*usual, *entries]
    return b"II*\0" + struct.pack("<LH", 8, len(table)) + b"".join(table) + bytes(4) + tail


def tiff_tags(count: int) -> bytes:
    return tiff_file([entry(273, 4, 1, 8), entry(279, 4, 1, 1), entry(339, 3, 1, 1)] * count)


def strip_tables(length: int, strips: int, tail: bytes = b"") -> bytes:
    """Strips of one row that are all at the same place: the end of the file."""
    at = len(tiff_file([bytes(12)] * 3))
    rows = entry(278, 3, 1, 1)
    tables = [entry(273, 4, strips, at), entry(279, 4, strips, at + 4 * strips)]
    place = at + 8 * strips
    values = struct.pack("<L", place) * strips + struct.pack("<L", length) * strips
    return tiff_file([*tables, rows], values + tail)


#: Tags of offsets and of lengths, each with its number of strips.
StripTables = dict[int, int]
#: Tables of 1,000 strips whose lengths have no offsets of their own: in libtiff the tables of
#: tiles are those of strips, and an offset that is missing is 0.
STRANGE_TABLES: list[StripTables] = [
    {273: 1, 279: 1000},
    {273: 1000, 325: 1000},
    {273: 1000, 279: 1, 325: 1000},
    {273: 1, 279: 1000, 324: 1000},
]


def tables_of_strips(counts: StripTables, length: int) -> bytes:
    """A TIFF with these tables, whose strips are all at the beginning of the file."""
    at = len(tiff_file([bytes(12)] * (1 + len(counts))))
    entries, values = [], b""
    for tag, count in counts.items():
        value = length if tag in {279, 325} else 0
        # A single value stands in the entry itself.
        entries.append(entry(tag, 4, count, value if count == 1 else at + len(values)))
        values += struct.pack("<L", value) * count if count > 1 else b""
    return tiff_file([*entries, entry(278, 3, 1, 1)], values)


def strips(count: int) -> bytes:
    return strip_tables(8, count, bytes(8))


def read_bmp(data: bytes) -> None:
    """Decode the pixels too, as the reader does it itself."""
    draw = bmp.read(data).draw
    assert draw is not None
    draw()


CASES = [
    (iso_media.read, items_without_bytes, 4),
    (iso_media.read, parts_to_the_end, 1_000),
    (iso_media.read, tables_of_frames, 100),
    (iso_media.read, tracks, 100),
    (iso_media.read, sizes, 200),
    (iso_media.read, same_streams, 50),
    (iso_media.read, parameter_sets, 100),
    (iso_media.read, item_kinds, 300),
    (iso_media.read, empty_boxes, 500),
    (iso_media.read, nested_boxes, 300),
    (png.read, profiles, 10),
    (png.read, empty_chunks, 200),
    (png.read, pixel_chunks, 200),
    (jpeg.read, exif_segments, 200),
    (jpeg.read, other_segments, 200),
    (jpeg.read, fill_bytes, 2_000),
    (jpeg.read, scans, 500),
    (gif.read, gif_blocks, 200),
    (webp.read, webp_chunks, 200),
    (read_bmp, run_lengths, 500),
    (tiff.read, tiff_tags, 300),
    (tiff.read, strips, 400),
]
each_case = pytest.mark.parametrize(
    ("read", "made", "count"), [pytest.param(*case, id=case[1].__name__) for case in CASES]
)


@each_case
def test_the_work_is_bounded_by_the_size_of_the_file(
    read: Callable[[bytes], object], made: Callable[[int], bytes], count: int
) -> None:
    size = len(made(2 * count))
    work, twice = work_of(read, made(count)), work_of(read, made(2 * count))

    assert twice.lines <= LINES_PER_BYTE * size + LINES
    assert max(twice.copied, twice.held) <= COPIES * size + MORE_BYTES
    assert twice.lines <= 2.5 * work.lines
    assert twice.copied <= 2.5 * work.copied
    assert twice.inflated <= 1


@pytest.mark.parametrize(
    ("read", "data", "sentence"),
    [
        (iso_media.read, item_kinds(MAX_PARTS + 1), "20000 items and parts of items"),
        (iso_media.read, items_without_bytes(1), "20000 items and parts of items"),
        (iso_media.read, parameter_sets(20_001), "20000 units of coded data"),
        (iso_media.read, same_streams(2, 10_001), "20000 units of coded data"),
    ],
)
def test_more_parts_than_any_encoder_writes_are_refused(
    read: Callable[[bytes], object], data: bytes, sentence: str
) -> None:
    with pytest.raises(CorruptImage, match=f"has more than {sentence}"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        parts_to_the_end(2_000),
        tracks(100),
        same_streams(50, parts=2),
        same_streams(20, 40, LONG_UNIT),
    ],
    ids=["parts", "tracks", "tiles in two parts", "tiles of long units"],
)
def test_parts_of_a_picture_that_overlap_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptImage, match="its parts overlap"):
        iso_media.read(data)


def test_equal_tiles_of_a_picture_may_have_the_same_data() -> None:
    assert iso_media.read(same_streams(50)).size == (64, 64)


def test_a_sequence_with_two_tables_of_its_frames_is_refused() -> None:
    assert iso_media.read(tables_of_frames(1)).size == (64, 64)
    with pytest.raises(CorruptImage, match="several tables of its frames"):
        iso_media.read(tables_of_frames(2))


def exif(orientation: int) -> bytes:
    """An EXIF block with this orientation and nothing else."""
    return b"Exif\0\0MM\0*" + struct.pack(">LHHHLHHL", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def test_the_first_of_several_text_profiles_counts() -> None:
    texts = [b"\nexif\n40\n" + exif(number).hex().encode() for number in (6, 3)]

    assert png.read(png_file(*map(profile, texts))).orientation == 6
    assert png.read(png_file(profile(b""), profile(texts[0]))).orientation == 1


def test_strips_of_a_tiff_may_be_the_same_but_not_decoded_at_length_again_and_again() -> None:
    assert tiff.read(strip_tables(8, 1000, bytes(8))).size == (8, 1000)
    with pytest.raises(CorruptImage, match="its parts overlap"):
        tiff.read(strip_tables(1000, 1000, bytes(1000)))


@pytest.mark.parametrize("tables", STRANGE_TABLES)
def test_strips_of_a_tiff_that_overlap_are_refused_in_any_tables(tables: StripTables) -> None:
    assert tiff.read(tables_of_strips(tables, 8)).size == (8, 1000)
    with pytest.raises(CorruptImage, match="its parts overlap"):
        tiff.read(tables_of_strips(tables, 1000))


@pytest.mark.parametrize("tag", [273, 279])
def test_places_of_strips_that_are_not_checked_are_refused(tag: int) -> None:
    data = strip_tables(8, 10, bytes(8))
    signed = data.replace(struct.pack("<HH", tag, 4), struct.pack("<HH", tag, 9))

    with pytest.raises(CorruptImage, match=f"Tag {tag} .* another type than integers"):
        tiff.read(signed)
