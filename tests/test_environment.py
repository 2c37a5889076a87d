"""Variables of the user's own servers are removed, and the servers of the tests have no proxy."""

from __future__ import annotations

import os

import pytest

from tests.environment import of_tests


def test_variables_that_programs_of_the_project_read_are_removed() -> None:
    mine = {"GATEWAY_DEADLINE_S": "1", "OTEL_SERVICE_NAME": "x", "NOTIFY_SOCKET": "/run/s"}

    assert of_tests(mine | {"PATH": "/bin", "FORCE_COLOR": "1"}) == {
        "PATH": "/bin",
        "FORCE_COLOR": "1",
    }


@pytest.mark.parametrize("before", [{}, {"NO_PROXY": "a.example"}])
def test_a_proxy_stands_not_before_servers_of_the_tests(before: dict[str, str]) -> None:
    found = of_tests(before | {"HTTP_PROXY": "http://proxy:3128"})

    assert found["HTTP_PROXY"] == "http://proxy:3128"
    assert found["no_proxy"] == "127.0.0.1,127.0.0.2,localhost"
    assert found["NO_PROXY"].split(",") == [
        *before.values(),
        "127.0.0.1",
        "127.0.0.2",
        "localhost",
    ]


def test_without_a_proxy_nothing_is_said_of_one() -> None:
    assert of_tests({"no_proxy": "a.example"}) == {"no_proxy": "a.example"}


def test_the_tests_have_these_variables() -> None:
    assert of_tests(os.environ) == dict(os.environ)
