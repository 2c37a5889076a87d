from __future__ import annotations

import pytest
from limits import parse

from flask_server.access.quota_headers import Left, left, policy


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ("600 per minute", '"minute";q=600;w=60'),
        ("5000/day; 10/second", '"second";q=10;w=1, "day";q=5000;w=86400'),
        ("7 per 5 minutes", '"5-minutes";q=7;w=300'),
        ("9 per hour, 3 per hour", '"hour";q=3;w=3600'),
    ],
)
def test_policy_has_each_window_once(limits: str, value: str) -> None:
    assert policy(limits) == value


def test_of_two_quotas_in_a_window_the_smaller_rest_counts() -> None:
    quotas = [
        Left(parse("9 per hour"), 8, 30),
        Left(parse("3 per hour"), 2, 30),
        Left(parse("50 per day"), 49, 900),
    ]

    assert left(quotas) == '"hour";r=2;t=30, "day";r=49;t=900'
