"""Guards around every test: the environment is restored, no child process is left running.

With ``-n 2`` (pytest-xdist), the hooks say in which process and order the tests run.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from model_catalog import openvino_telemetry
from tests import environment, workers
from tests.demo import demo_version

_variables = environment.of_tests(os.environ)
os.environ.clear()
os.environ.update(_variables)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a version of the demo model, made without TensorFlow."""
    folder = workers.written_once(tmp_path_factory, "demo", demo_version)
    return folder / "efficientnet_lite0" / "1"


openvino_telemetry.switch_off()  # for the tests that import OpenVINO themselves

#: No limit on the time of an example, or of its making: a neighbour may hold the processors.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest groups first where several processes share the tests."""
    if workers.is_worker():
        items.sort(key=lambda item: workers.rank(item.nodeid))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the tests, which all last until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape half surrogate pairs in what a test has logged: pytest-xdist cannot send them."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each group to one process, in the order of the collection."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = workers.group
    return scheduler


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def _has_none() -> bool:
    """Tell whether there is no child at all, by one system call instead of a file per thread."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def children() -> set[int]:
    """Child processes that are not reaped yet (Linux; an empty set elsewhere)."""
    if not sys.platform.startswith("linux") or _has_none():
        return set()
    pids: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids.update(map(int, task.read_text().split()))
    return pids


@pytest.fixture(autouse=True)
def _no_child_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process running; processes of wider fixtures start before it."""
    before = children()
    yield
    assert children() <= before, "the test left a child process behind"
