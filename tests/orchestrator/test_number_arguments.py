from __future__ import annotations

import argparse

import pytest

from orchestrator.number_arguments import deadline, port, seconds, whole_number


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("5000", 5000), ("65535", 65535)])
def test_ports(text: str, number: int) -> None:
    assert port(text) == number


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "", "80.5", "1e3", "\u0663"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number from 1 to 65535"):
        port(text)


@pytest.mark.parametrize(("text", "number"), [("0.1", 0.1), ("10", 10.0), ("007", 7.0)])
def test_seconds(text: str, number: float) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "nan", "inf", "1e9", "", "ten"])
def test_what_are_no_seconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="seconds above 0"):
        seconds(text)


def test_a_deadline_is_a_time_that_sockets_can_wait() -> None:
    assert deadline("2147483") == 2147483
    with pytest.raises(argparse.ArgumentTypeError, match="above 0, at most 2147483"):
        deadline("2147484")


@pytest.mark.parametrize("text", ["2", "4"])
def test_bounds_are_inclusive(text: str) -> None:
    assert whole_number(2, 4)(text) == int(text)


@pytest.mark.parametrize("text", ["1", "5"])
def test_beyond_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="from 2 to 4"):
        whole_number(2, 4)(text)
