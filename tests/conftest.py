"""Guards around every test: the environment is put back, no child process stays behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def children() -> set[int]:
    """The processes this one has started and not reaped (Linux; elsewhere nothing is known)."""
    if not sys.platform.startswith("linux"):
        return set()
    pids: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids.update(map(int, task.read_text().split()))
    return pids


@pytest.fixture(autouse=True)
def _no_child_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process behind; those of wider fixtures are older than it."""
    before = children()
    yield
    assert children() <= before, "the test left a child process behind"
