from __future__ import annotations

from math import inf
from time import monotonic

import pytest

from model_server.engines.run_limit import RunLimit, run_limit_ms


@pytest.mark.parametrize(
    ("timeout_s", "default_ms", "limit_ms"),
    [
        (None, 500, 500),
        (None, 0, 0),
        (None, -1, 0),
        (inf, 500, 0),
        (1e9, 500, 0),
        (2.0, 500, 2000),
        (0.0001, 500, 1),
        (-3.0, 500, 1),
    ],
)
def test_the_limit_of_a_request_counts_before_the_default(
    timeout_s: float | None, default_ms: int, limit_ms: int
) -> None:
    assert run_limit_ms(timeout_s, default_ms) == limit_ms


def test_what_is_left_of_a_limit_is_never_none_at_all() -> None:
    assert RunLimit(ms=500, end=monotonic() - 1).left_ms() == 1
    assert RunLimit(ms=0, end=monotonic() - 1).left_ms() == 0
    assert 1 <= RunLimit.from_now(60.0, 500).left_ms() <= 60_000
