"""Sizes of the frames in an AV1 bitstream, for which its decoder allocates memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.bits import Bits
from flask_server.imaging.files.limit import Limit
from flask_server.imaging.geometry import Size

#: Maximum number of units (OBUs) in a file; an encoder writes three or four, or one per tile.
MAX_UNITS: Final = 20_000

_SEQUENCE_HEADER: Final = 1
_FRAME_HEADERS: Final = {3, 6, 7}
#: Bytes of a header that are read; none is longer, with 32 operating points.
_HEADER_BYTES: Final = 512
_SWITCH_FRAME: Final = 3
_KEY_FRAME: Final = 0
_LAST_LEVEL_WITHOUT_TIER: Final = 7
#: Value of two fields for which each frame has its own flag.
_SELECT: Final = 2


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The fields of a sequence header that decide the sizes of frames."""

    size: Size
    size_bits: Size
    reduced: bool
    """Whether all frames have the size of the sequence, and short headers."""

    time_bits: int
    """Bits of the presentation time in a frame header."""

    id_bits: int
    screen_content: int
    integer_motion: int


def unit_limit() -> Limit:
    """Return the limit of the units in all streams of a file."""
    return Limit(MAX_UNITS, "units of coded data", "The AVIF image")


def frame_sizes(stream: bytes, units: Limit) -> Iterator[tuple[Size, Size]]:
    """Yield the size of each sequence, and the largest size that its frames may have.

    The second one is larger where a frame has its own size. Raises CorruptImage for a stream that
    ends within a header, and for more units than ``units`` has left.
    """
    sequence: _Sequence | None = None
    try:
        for kind, content in _units(stream, units):
            if kind == _SEQUENCE_HEADER:
                sequence = _sequence(Bits(content))
                yield sequence.size, sequence.size
            elif sequence is not None and _has_own_size(Bits(content), sequence):
                width_bits, height_bits = sequence.size_bits
                yield sequence.size, (1 << width_bits, 1 << height_bits)
    except (EOFError, IndexError) as error:
        raise CorruptImage("The AVIF image is damaged: a header ends too early.") from error


def _units(stream: bytes, units: Limit) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the first bytes of each header."""
    at = 0
    while at < len(stream):
        units.count()
        head = stream[at]
        at += 2 if head & 4 else 1
        length = len(stream) - at
        if head & 2:
            length, at = _leb128(stream, at)
        kind = head >> 3 & 15
        if kind == _SEQUENCE_HEADER or kind in _FRAME_HEADERS:
            yield kind, stream[at : at + min(length, _HEADER_BYTES)]
        at += length


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, the lowest ones first, and where it ends."""
    value = 0
    for place in range(8):
        byte = stream[at + place]
        value |= (byte & 127) << 7 * place
        if not byte & 128:
            return value, at + place + 1
    raise EOFError("the number has no end")


def _sequence(bits: Bits) -> _Sequence:
    bits.take(3 + 1)  # profile, still picture
    reduced, time_bits = bits.flag(), 0
    if reduced:
        bits.take(5)  # level
    else:
        time_bits = _skip_timing(bits)
    size_bits = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(size_bits[0]) + 1, bits.take(size_bits[1]) + 1
    if reduced:
        return _Sequence(size, size_bits, reduced, 0, 0, 0, 0)
    id_bits = bits.take(4) + 2 + bits.take(3) + 1 if bits.flag() else 0
    bits.take(3 + 4)  # coding tools
    if ordered := bits.flag():
        bits.take(2)
    screen_content = _SELECT if bits.flag() else bits.take(1)
    integer_motion = _SELECT
    if screen_content and not bits.flag():
        integer_motion = bits.take(1)
    if ordered:
        bits.take(3)
    return _Sequence(size, size_bits, reduced, time_bits, id_bits, screen_content, integer_motion)


def _skip_timing(bits: Bits) -> int:
    """Skip the fields of time and level; return the bits of a frame's presentation time."""
    delay_bits, time_bits = _timing(bits) if bits.flag() else (0, 0)
    displayed = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > _LAST_LEVEL_WITHOUT_TIER:
            bits.take(1)
        if delay_bits and bits.flag():
            bits.take(2 * delay_bits + 1)
        if displayed and bits.flag():
            bits.take(4)
    return time_bits


def _timing(bits: Bits) -> tuple[int, int]:
    """Return the bits of a delay, 0 without a decoder model, and those of a presentation time."""
    bits.take(64)
    equal = bits.flag()
    if equal:
        bits.exp_golomb()
    if not bits.flag():
        return 0, 0
    delay_bits = bits.take(5) + 1
    bits.take(32 + 5)
    time_bits = bits.take(5) + 1
    return delay_bits, 0 if equal else time_bits


def _has_own_size(bits: Bits, sequence: _Sequence) -> bool:
    """Return whether a frame header overrides the size of the sequence."""
    if sequence.reduced or bits.flag():  # shows a frame that exists
        return False
    kind, shown = bits.take(2), bits.flag()
    bits.take(sequence.time_bits if shown else 1)
    if kind == _SWITCH_FRAME:
        return True
    if not (kind == _KEY_FRAME and shown):
        bits.take(1)  # error resilience
    bits.take(1)
    screen_content = sequence.screen_content
    if screen_content == _SELECT:
        screen_content = bits.take(1)
    if screen_content and sequence.integer_motion == _SELECT:
        bits.take(1)
    bits.take(sequence.id_bits)
    return bits.flag()
