from __future__ import annotations

import struct
from pathlib import Path

import pytest

from model_server.errors import DataLoss
from model_server.tfrecord import OVERHEAD, framed, read_records


def record(data: bytes) -> bytes:
    return struct.pack("<QI", len(data), 0) + data + struct.pack("<I", 0)


@pytest.mark.parametrize("records", [[], [b""], [b"one", b"", b"three" * 1000]])
def test_records_come_in_order(tmp_path: Path, records: list[bytes]) -> None:
    file = tmp_path / "records"
    file.write_bytes(b"".join(map(record, records)))

    assert list(read_records(file)) == records


@pytest.mark.parametrize("length", range(1, len(record(b"data"))))
def test_a_file_that_ends_inside_a_record_is_data_loss(tmp_path: Path, length: int) -> None:
    file = tmp_path / "records"
    file.write_bytes(record(b"first") + record(b"data")[:length])

    records = read_records(file)

    assert next(records) == b"first"
    with pytest.raises(DataLoss, match="truncated record at 21 "):
        next(records)


def test_a_framed_record_has_the_checksums_of_tensorflow() -> None:
    # Written by tf.io.TFRecordWriter.
    expected = "0700000000000000bbd79f116f6e652074776f1a649778"

    assert framed(b"one", b"", b" two").hex() == expected
    assert len(framed(b"")) == OVERHEAD


def test_framed_records_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "records"
    file.write_bytes(framed(b"a", b"b") + framed() + framed(b"c" * 70_000))

    assert list(read_records(file)) == [b"ab", b"", b"c" * 70_000]
