"""Sizes of the frames in an HEVC bitstream, for which its decoder allocates memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask_server.errors import CorruptImage
from flask_server.imaging.files.bits import Bits
from flask_server.imaging.files.limit import Limit
from flask_server.imaging.geometry import Size

#: Maximum number of units (NAL units) in a file; an encoder writes a few, or one per slice.
MAX_UNITS: Final = 20_000

_SPS: Final = 33
#: Bytes of a parameter set before and with its size; none is longer.
_SPS_BYTES: Final = 256
#: Bytes of a decoder configuration before its parameter sets.
_CONFIGURATION_BYTES: Final = 22
_PROFILE_BITS: Final = 88
_444: Final = 3


def unit_limit() -> Limit:
    """Return the limit of the units in all configurations and streams of a file."""
    return Limit(MAX_UNITS, "units of coded data", "The HEIC image")


def length_bytes(configuration: bytes) -> int:
    """Return the bytes of the length before each unit, as the box ``hvcC`` says."""
    return (configuration[21] & 3) + 1 if len(configuration) >= _CONFIGURATION_BYTES else 4


def configured_sizes(configuration: bytes, units: Limit) -> Iterator[Size]:
    """Yield the sizes of the sequence parameter sets in a box ``hvcC``.

    Raises CorruptImage for more units than ``units`` has left, as ``stream_sizes`` does.
    """
    arrays, at = configuration[_CONFIGURATION_BYTES : _CONFIGURATION_BYTES + 1], 23
    for _ in range(arrays[0] if arrays else 0):
        count = int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            if at >= len(configuration):
                return
            units.count()
            length = int.from_bytes(configuration[at : at + 2], "big")
            yield from _sizes(configuration[at + 2 : at + 2 + length])
            at += 2 + length


def stream_sizes(stream: bytes, length_bytes: int, units: Limit) -> Iterator[Size]:
    """Yield the sizes of the sequence parameter sets within coded data."""
    at = 0
    while at < len(stream):
        units.count()
        length = int.from_bytes(stream[at : at + length_bytes], "big")
        at += length_bytes
        yield from _sizes(stream[at : at + min(length, _SPS_BYTES)])
        at += length


def _sizes(unit: bytes) -> Iterator[Size]:
    """Yield the size of a unit that is a sequence parameter set."""
    if len(unit) < 2 or unit[0] >> 1 & 63 != _SPS:
        return
    try:
        # Within a unit, a 3 stands after two zeros so that no start code appears.
        yield _size(Bits(unit[2:_SPS_BYTES].replace(b"\0\0\3", b"\0\0")))
    except EOFError as error:
        raise CorruptImage("The HEIC image is damaged: a header ends too early.") from error


def _size(bits: Bits) -> Size:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + _PROFILE_BITS + 8)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(_PROFILE_BITS * profile + 8 * level)
    bits.exp_golomb()
    if bits.exp_golomb() == _444:
        bits.take(1)
    return bits.exp_golomb(), bits.exp_golomb()
