"""Read the records of a TFRecord file, TensorFlow's container format for byte strings.

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
