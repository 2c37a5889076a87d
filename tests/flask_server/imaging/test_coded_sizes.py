"""AVIF and HEIC: decoders allocate by the size of the coded data, which bounds the memory."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from PIL import Image

from flask_server.errors import CorruptImage, ImageError
from flask_server.imaging.decoding import read_header
from flask_server.imaging.files import av1, hevc, iso_media
from flask_server.imaging.formats import FORMATS
from tests.strangers.files import saved

KINDS = [kind for kind in ("AVIF", "HEIF") if kind in FORMATS]
SIZE = (300, 200)

header_of = partial(read_header, max_pixels=10**8)


def image(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
    return saved(Image.new(mode, size, "red"), kind)


def declaring(data: bytes, size: tuple[int, int]) -> bytes:
    """The file with another size in each box ``ispe``; the coded data stay as they are."""
    at = data.index(b"ispe") + 8
    return data.replace(data[at - 8 : at + 8], data[at - 8 : at] + struct.pack(">LL", *size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (300, 100), (100, 200), (1, 1), (200, 300)])
def test_coded_data_larger_than_declared_are_refused(kind: str, size: tuple[int, int]) -> None:
    with pytest.raises(CorruptImage, match=f"{size[0]}x{size[1]} declared"):
        header_of(declaring(image(kind), size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(16, 16), (33, 17), (64, 65), (129, 500)])
def test_padding_is_allowed(kind: str, mode: str, size: tuple[int, int]) -> None:
    assert header_of(image(kind, mode, size)).decode().image.size == size


@pytest.mark.skipif("AVIF" not in KINDS, reason="this Pillow reads no AVIF")
def test_the_first_frame_of_a_sequence_counts() -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    data = saved(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    start = data.index(b"tkhd") - 4
    track = start + int.from_bytes(data[start : start + 4], "big") - 8
    small = declaring(data, (8, 8))
    small = small[:track] + struct.pack(">LL", 8 << 16, 8 << 16) + small[track + 8 :]

    assert header_of(data).upright_size == SIZE
    with pytest.raises(CorruptImage, match="300x200 pixels are coded, and 8x8 declared"):
        header_of(small.replace(b"iloc", b"free"))


def bits_of(*fields: tuple[int, int]) -> bytes:
    """Numbers, each with its count of bits."""
    text = "".join(f"{value:0{count}b}" for value, count in fields if count)
    return int(text + "0" * (-len(text) % 8), 2).to_bytes(-(-len(text) // 8), "big")


def unit(kind: int, content: bytes) -> bytes:
    return bytes((kind << 3 | 2, len(content))) + content


@pytest.mark.parametrize("own_size", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_a_frame_with_its_own_size_may_be_as_large_as_its_bits(own_size: bool, timed: bool) -> None:
    timing = [(1, 64), (0, 1), (1, 1), (9, 5), (0, 37), (6, 5)] if timed else []
    point = [(0, 12), (8, 5), (0, 1), *([(1, 1), (0, 21)] if timed else [])]
    size = [(11, 4), (9, 4), (99, 12), (49, 10)]
    # Frame numbers of 2 + 3 bits more, no tools, an order hint, flags of each frame selected.
    tools = [(1, 1), (0, 4), (0, 3), (0, 7), (1, 1), (0, 2), (1, 1), (1, 1), (0, 3)]
    sequence = bits_of((0, 5), (int(timed), 1), *timing, (0, 6), *point, *size, *tools)
    key_frame = [(0, 1), (0, 2), (1, 1), *([(5, 7)] if timed else [])]
    frame = bits_of(*key_frame, (0, 1), (1, 1), (1, 1), (7, 3), (int(own_size), 1))

    sizes = list(av1.frame_sizes(unit(1, sequence) + unit(6, frame), av1.unit_limit()))

    assert sizes[0] == ((100, 50), (100, 50))
    assert sizes[1:] == ([((100, 50), (4096, 1024))] if own_size else [])


@pytest.mark.parametrize("kind", KINDS)
def test_frames_beyond_the_declared_size_are_reserved(kind: str) -> None:
    data = image(kind, size=(64, 64))
    exact, padded = (iso_media.read(declaring(data, size)) for size in ((64, 64), (64, 60)))

    assert exact.fixed_bytes == 0
    assert padded.fixed_bytes == exact.peak_bytes * 64 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_each_truncation_is_read_or_refused(kind: str) -> None:
    data = image(kind)
    refused = 0
    for end in range(16, len(data)):
        try:
            header_of(data[:end])
        except ImageError:
            refused += 1

    assert header_of(data).upright_size == SIZE
    assert refused > 100


def test_many_units_are_refused() -> None:
    with pytest.raises(CorruptImage, match="more than 20000 units"):
        list(av1.frame_sizes(unit(2, b"") * 20_001, av1.unit_limit()))
    with pytest.raises(CorruptImage, match="more than 20000 units"):
        list(hevc.stream_sizes(bytes(4) * 20_001, 4, hevc.unit_limit()))
