"""Read and write the records of TFRecord files, TensorFlow's container format for byte strings.

Each record is a header (8 bytes of length, 4 bytes of checksum), the data, and a footer (4 bytes of
checksum).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model_server.errors import DataLoss

_LENGTH: Final = 8
_HEADER: Final = 12
_FOOTER: Final = 4
#: Bytes of a record beside its data.
OVERHEAD: Final = _HEADER + _FOOTER
_MASK: Final = 0xA282EAD8


def read_records(file: Path) -> Iterator[bytes]:
    """Yield the data of each record, or raise DataLoss where the file ends inside a record.

    Checksums are not compared.
    """
    data = file.read_bytes()
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + _LENGTH], "little")
        end = start + _HEADER + length
        if end + _FOOTER > len(data):
            raise DataLoss(f"truncated record at {start} in {file}")
        yield data[start + _HEADER : end]
        start = end + _FOOTER


def framed(*parts: bytes) -> bytes:
    """Return a record whose data are the joined parts."""
    length = sum(map(len, parts)).to_bytes(_LENGTH, "little")
    return b"".join([length, _checksum(length), *parts, _checksum(*parts)])


def _checksum(*parts: bytes) -> bytes:
    """Return the CRC-32C, rotated and shifted by a constant as TensorFlow does."""
    import google_crc32c  # only servers that log requests need it

    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return (((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF).to_bytes(_FOOTER, "little")
