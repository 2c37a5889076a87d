from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec.float_format import decimal_lists, decimals


@pytest.mark.parametrize(
    ("number", "single", "double"),
    [
        (0.1, "0.1", "0.1"),
        (1 / 3, "0.333333343", "0.33333333333333331"),
        (3.0, "3.0", "3.0"),
        (100000.0, "100000.0", "100000.0"),
        (1e6, "1e+06", "1e+06"),
        (1234567.0, "1234567.0", "1234567.0"),
        (16777217.0, "16777216.0", "16777217.0"),
        (1435774380.0, "1.43577434e+09", "1435774380.0"),
        (0.00003, "3e-05", "3e-05"),
        (1e-5, "1e-05", "1e-05"),
        (0.0001, "0.0001", "0.0001"),
        (1e-7, "1e-07", "1e-07"),
        (1.25e-13, "1.25e-13", "1.25e-13"),
        (1.25e-14, "1.25e-14", "1.25e-14"),
        (3.14159265358979, "3.14159274", "3.1415926535897900"),
        (-0.0, "-0.0", "-0.0"),
        (math.nan, "NaN", "NaN"),
        (math.inf, "Infinity", "Infinity"),
        (-math.inf, "-Infinity", "-Infinity"),
    ],
)
def test_texts(number: float, single: str, double: str) -> None:
    assert decimals(np.array([number], dtype=np.float32)) == [single]
    assert decimals(np.array([number]))[0].ljust(len(double), "0") == double


def test_no_numbers_give_no_texts() -> None:
    assert decimals(np.empty(0, dtype=np.float32)) == []


def _by_the_rule(number: float, kind: type[np.floating], full: str) -> str:
    text = f"{number:g}"
    if kind(float(text)) != kind(number):
        text = full % number
    return text if "." in text or "e" in text else f"{text}.0"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_single_precision_follows_the_rule(numbers: list[float]) -> None:
    texts = decimals(np.array(numbers, dtype=np.float32))

    assert texts == [_by_the_rule(number, np.float32, "%.9g") for number in numbers]


@given(st.lists(st.floats(2.0**-126, 2.0**23, width=32), min_size=1))
def test_numbers_of_ordinary_size_follow_the_rule(numbers: list[float]) -> None:
    texts = decimals(np.array(numbers, dtype=np.float32))

    assert texts == [_by_the_rule(number, np.float32, "%.9g") for number in numbers]


@pytest.mark.parametrize("towards", [0, np.inf])
def test_the_neighbours_of_powers_of_ten_follow_the_rule(towards: float) -> None:
    powers = np.array([float(f"1e{power}") for power in range(-38, 9)], dtype=np.float32)
    numbers = np.concatenate([powers, np.nextafter(powers, np.float32(towards))])

    assert decimals(numbers) == [_by_the_rule(n, np.float32, "%.9g") for n in numbers.tolist()]


def test_no_number_of_six_digits_is_near_to_where_its_float32_changes() -> None:
    """So it does not matter that dividing by more than 1e22 can miss the next double."""
    digits = np.arange(10.0**5, 10.0**6)

    for power in range(18, 44):
        quotient = digits / float(f"1e{power}")
        low, high = quotient * (1 - 2.0**-51), quotient * (1 + 2.0**-51)
        np.testing.assert_array_equal(low.astype(np.float32), high.astype(np.float32))


@pytest.mark.parametrize(
    "shape", [(0, 3), (2, 0), (1, 1), (3, 4), (70, 1000), (2, 1 << 15), (2, (1 << 15) + 1)]
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("odd", [None, np.nan, 1e-40])
def test_lists_have_the_same_texts(
    shape: tuple[int, int], kind: type[np.floating], odd: float | None
) -> None:
    rows = np.random.default_rng(0).random(shape).astype(kind) ** 9
    if odd is not None and rows.size:
        rows[-1, 0] = odd

    assert decimal_lists(rows) == [", ".join(decimals(row)) for row in rows]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_double_precision_follows_the_rule(numbers: list[float]) -> None:
    texts = decimals(np.array(numbers))

    assert texts == [_by_the_rule(number, np.float64, "%.17g") for number in numbers]
