"""Files in PyTorch's old format: tensors are views of storages, and nothing else is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from scripts.legacy_torch import TorchFileError, read_tensors

MAGIC = 0x1950A86A20F9469CFC6C


def plain(value: object) -> bytes:
    """The opcodes that push a plain value."""
    return pickle.dumps(value, protocol=2)[2:-1]


def whole(opcodes: bytes) -> bytes:
    return b"\x80\x02" + opcodes + b"."


def storage(key: str, kind: str, elements: int) -> bytes:
    parts = plain("storage") + f"ctorch\n{kind}\n".encode()
    return b"(" + parts + plain(key) + plain("cpu") + plain(elements) + plain(None) + b"tQ"


def tensor(
    of: bytes, offset: object, sizes: object, strides: object, function: str = "_rebuild_tensor_v2"
) -> bytes:
    numbers = plain(offset) + plain(sizes) + plain(strides) + plain(False)
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n" + function.encode() + b"\n(" + of + numbers + hooks + b"tR"


def file(
    tensors: Mapping[str, bytes], storages: Mapping[str, NDArray[np.generic]], magic: int = MAGIC
) -> bytes:
    entries = b"".join(plain(name) + opcodes for name, opcodes in tensors.items())
    head = [plain(magic), plain(1001), plain({}), b"}(" + entries + b"u", plain(list(storages))]
    blocks = [len(x).to_bytes(8, "little") + x.tobytes() for x in storages.values()]
    return b"".join([*map(whole, head), *blocks])


NUMBERS = np.arange(24, dtype=np.float32)
WHOLE = storage("7", "FloatStorage", 24)


def test_offsets_sizes_and_strides_select_the_elements() -> None:
    found = read_tensors(
        file(
            {
                "rows": tensor(WHOLE, 0, (4, 6), (6, 1)),
                "columns": tensor(WHOLE, 0, (6, 4), (1, 6)),
                "inner": tensor(WHOLE, 7, (2, 2), (12, 2)),
                "same": tensor(WHOLE, 5, (3,), (0,)),
                "scalar": tensor(storage("8", "LongStorage", 1), 0, (), ()),
                "empty": tensor(WHOLE, 24, (0, 3), (3, 1)),
            },
            {"7": NUMBERS, "8": np.array([2**40])},
        )
    )

    grid = NUMBERS.reshape(4, 6)
    np.testing.assert_array_equal(found["rows"], grid)
    np.testing.assert_array_equal(found["columns"], grid.T)
    np.testing.assert_array_equal(found["inner"], [[7, 9], [19, 21]])
    np.testing.assert_array_equal(found["same"], [5, 5, 5])
    assert (found["scalar"].shape, int(found["scalar"])) == ((), 2**40)
    assert found["empty"].shape == (0, 3)
    assert all(array.flags.c_contiguous for array in found.values())


@pytest.mark.parametrize(
    ("kind", "dtype"), [("HalfStorage", "f2"), ("DoubleStorage", "f8"), ("ByteStorage", "u1")]
)
def test_the_kind_of_a_storage_decides_its_type(kind: str, dtype: str) -> None:
    values = np.array([1, 2, 3], dtype)

    found = read_tensors(file({"x": tensor(storage("k", kind, 3), 0, (3,), (1,))}, {"k": values}))

    assert found["x"].dtype == dtype
    np.testing.assert_array_equal(found["x"], values)


@pytest.mark.parametrize(
    ("offset", "sizes", "strides"),
    [
        (1, (24,), (1,)),
        (0, (2, 2), (24, 1)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (2**62, 2), (1, 1)),
        (25, (0,), (1,)),
        (0.0, (1,), (1,)),
        (0, ("1",), (1,)),
        (0, 3, (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(
    offset: object, sizes: object, strides: object
) -> None:
    content = file({"x": tensor(WHOLE, offset, sizes, strides)}, {"7": NUMBERS})

    with pytest.raises(TorchFileError, match="x lies outside its storage"):
        read_tensors(content)


def test_what_is_no_tensor_is_not_unpickled() -> None:
    code = b"cposix\nsystem\n(" + plain("exit 1") + b"tR"

    with pytest.raises(TorchFileError, match="The file names posix.system; allowed are tensors"):
        read_tensors(file({"x": code}, {}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        file({}, {}, magic=5),
        file({"x": plain(3)}, {}),
        file({"x": tensor(WHOLE, 0, (24,), (1,))}, {}),
        file({"x": tensor(WHOLE, 0, (24,), (1,))}, {"7": NUMBERS[:23]}),
        file({"x": tensor(WHOLE, 0, (24,), (1,))}, {"7": NUMBERS})[:-1],
        file({"x": tensor(WHOLE, 0, (24,), (1,), "_rebuild_parameter")}, {"7": NUMBERS}),
        file({"x": tensor(plain("7") + b"Q", 0, (24,), (1,))}, {"7": NUMBERS}),
    ],
)
def test_another_or_a_damaged_file_is_refused(content: bytes) -> None:
    with pytest.raises(TorchFileError):
        read_tensors(content)
