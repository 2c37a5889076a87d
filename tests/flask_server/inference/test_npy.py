"""No bytes make the reader of ``.npy`` files fail otherwise than by its own error."""

from __future__ import annotations

import io
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from flask_server.errors import InvalidTensor
from flask_server.inference.npy import MAGIC, json_tensor, read_npy

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def npy(values: object, **arguments: object) -> bytes:
    file = io.BytesIO()
    np.save(file, values, **arguments)  # type: ignore[arg-type]
    return file.getvalue()


def with_header(text: str, data: bytes = b"") -> bytes:
    header = text.encode("latin1") + b"\n"
    return MAGIC + b"\x01\x00" + len(header).to_bytes(2, "little") + header + data


class Bomb:
    """Leaves a mark when it is unpickled."""

    exploded = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded = True


def test_values_are_not_copied() -> None:
    data = npy(VALUES)

    tensor = read_npy(data)

    assert tensor.values.tolist() == VALUES.tolist()
    assert np.shares_memory(tensor.values, np.frombuffer(data, np.uint8))


def test_version_2_is_read() -> None:
    file = io.BytesIO()
    npy_format.write_array(file, VALUES, version=(2, 0))

    assert read_npy(file.getvalue()).values.tolist() == VALUES.tolist()


def test_nothing_is_unpickled() -> None:
    data = npy(np.array([Bomb()], object), allow_pickle=True)
    assert pickle.dumps(Bomb())  # it could be

    with pytest.raises(InvalidTensor, match="dtype"):
        read_npy(data)
    assert not Bomb.exploded


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 400 + ")" * 400 + "}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': 'O', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 40 + ")}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999)}",
        "__import__('os').abort()",
        "",
    ],
)
def test_senseless_headers_are_refused(text: str) -> None:
    with pytest.raises(InvalidTensor):
        read_npy(with_header(text))


def test_a_long_header_is_not_parsed() -> None:
    data = MAGIC + b"\x02\x00" + (2**31).to_bytes(4, "little") + b"(" * 4_000_000
    tracemalloc.start()

    with pytest.raises(InvalidTensor):
        read_npy(data)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "document",
    [
        ["a" * 10_000, *[""] * 50_000],
        [[["a" * 10_000], *[[""]] * 50_000]],
        [[1, 2], ["a" * 10_000_000, 3]],
        "a" * 1_000_000,
    ],
    ids=["a list", "deep", "beside numbers", "alone"],
)
def test_texts_of_a_json_tensor_do_not_all_get_the_size_of_the_longest(document: object) -> None:
    tracemalloc.start()

    with pytest.raises(InvalidTensor, match="not made of numbers"):
        json_tensor(document)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@given(at=st.integers(0, 140), byte=st.integers(0, 255), end=st.integers(0, 160))
def test_changed_files_are_read_or_refused(at: int, byte: int, end: int) -> None:
    data = bytearray(npy(VALUES))
    data[at % len(data)] = byte

    for changed in (bytes(data), bytes(data[:end])):
        try:
            tensor = read_npy(changed)
        except InvalidTensor:
            continue
        assert tensor.values.nbytes < len(changed)
