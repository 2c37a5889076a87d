from __future__ import annotations

import pytest

from tests.docs.outputs import differences


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a  b", "a b\n"),
        ("icg_…  x", "icg_0f3 x"),
        ("2026-11-20 20:15:25 ready (after 8.4 s)", "2027-01-01 00:00:00 ready (after 12 s)"),
        ("digits  1  /srv/shop/digits/1", "digits 1 /tmp/x-1/digits/1"),
        ("score: 0.123 of 14", "score: 0.1249 of 14"),
        ("a\n…\nd", "a\nb\nc\nd"),
        ("a\n…\nd", "a\nd"),
        ("a", "I0000 00:00:1795924300.746218       3 port.cc:153] oneDNN is on\na"),
        ('{"a": [1, 0.25], "b": 1e-6}', '{"b": 0, "a": [1, 0.2519]}'),
        ("page  c4a818d73e07", "page  838f5e85772e"),
    ],
)
def test_what_differs_between_two_runs_is_the_same(shown: str, printed: str) -> None:
    assert differences(shown, printed) == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", "b"),
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("score: 0.123", "score: 0.2"),
        ("14 images", "15 images"),
        ("a\n…\nd", "a\nb\nc"),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": [0.1]}', '{"a": [0.1, 0.2]}'),
        ("127.0.0.1:5000/x/y", "127.0.0.1:5000/z/y"),
    ],
)
def test_other_differences_are_found(shown: str, printed: str) -> None:
    assert differences(shown, printed) != []
