from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec import float_arrays
from model_server.codec.exact_parser import parse
from model_server.codec.float_arrays import Doubt, read_block
from model_server.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "values", "whole"),
    [
        (b"[1]", [1.0], True),
        (b"[1, -2,30]", [1.0, -2.0, 30.0], True),
        (b"[[1.5, 2], [3, -0.25]]", [[1.5, 2.0], [3.0, -0.25]], False),
        (b"[\n  [\n    0.5,\n    1\n  ]\n]", [[0.5, 1.0]], False),
        (b"[12345678, 0.123456789012345678]", [12345678.0, 0.123456789012345678], False),
        (b"[1e2, -2.5e-05, 3E+1]", [100.0, -2.5e-05, 30.0], False),
        (b"[[[1],[2]],[[3],[4]]]", [[[1.0], [2.0]], [[3.0], [4.0]]], True),
    ],
)
def test_lists_become_arrays(text: bytes, values: list[object], whole: bool) -> None:
    block = read_block(text)

    assert np.allclose(block.values, np.array(values), rtol=1e-15)
    assert block.values.shape == np.array(values).shape
    assert block.whole is whole


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"[[1, 2], [3]]",
        b"[[1], 2]",
        b"[1, [2]]",
        b"[1,,2]",
        b"[1 2]",
        b"[1\n2]",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"[--1]",
        b"[1.2.3]",
        b"[1e]",
        b"[1e400]",
        b"[- 1]",
        b"[1[2]]",
        b"[[1]2]",
        b"[123456789]",
        b"[NaN]",
        b"[1]]",
        b"[[1]",
    ],
)
def test_everything_else_is_doubt(text: bytes) -> None:
    with pytest.raises(Doubt):
        read_block(text)


def test_only_a_number_with_a_point_can_be_a_negative_zero() -> None:
    signs = np.signbit(read_block(b"[-0, -0.0, 0.0]").values)

    assert signs.tolist() == [False, True, False]


@given(st.lists(st.floats(-1e8, 1e8, allow_subnormal=False), min_size=1))
def test_what_python_writes_is_read_back_as_float32(numbers: list[float]) -> None:
    text = json.dumps(numbers).encode()

    try:
        read = read_block(text).values
    except Doubt:
        return

    with np.errstate(under="ignore"):
        assert (read.astype(np.float32) == np.array(numbers, dtype=np.float32)).all()


_NOISE = st.text("0123456789.+-eE,[] \n", max_size=2).map(str.encode)


@given(
    st.recursive(
        st.lists(st.integers(-99, 99) | st.floats(-9, 9).map(lambda f: round(f, 3)), min_size=1),
        lambda inner: st.lists(inner, min_size=1, max_size=3),
        max_leaves=6,
    ),
    st.data(),
    st.sampled_from([1, 9, 1 << 19]),
)
def test_a_mutated_list_is_read_rightly_or_not_at_all(
    value: list[object], data: st.DataObject, piece: int
) -> None:
    text = json.dumps(value).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 2, len(text))))
    mutated = text[:start] + data.draw(_NOISE) + text[end:]
    before, float_arrays._PIECE = float_arrays._PIECE, piece  # type: ignore[misc]

    try:
        read = read_block(mutated)
    except Doubt:
        return
    finally:
        float_arrays._PIECE = before  # type: ignore[misc]

    try:
        exact = np.array(parse(mutated), dtype=np.float64)
    except InvalidArgument:
        pytest.fail(f"{mutated!r} is not JSON")
    assert read.values.shape == exact.shape
    assert np.allclose(read.values, exact, rtol=1e-14)
