"""The run folder is on a disk that is full (Linux, as root)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.orchestrator.conftest import gone
from tests.orchestrator.project_sandbox import ProjectSandbox
from tests.small_disk import SmallDisk, small_disk
from tests.waiting import eventually


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / ".run", megabytes=1) as disk:
        yield disk


@pytest.fixture
def sandbox(tmp_path: Path, disk: SmallDisk) -> Iterator[ProjectSandbox]:
    with ProjectSandbox(tmp_path).build().torn_down() as sandbox:
        yield sandbox


def test_a_start_that_cannot_write_what_serving_reads_says_so(
    sandbox: ProjectSandbox, disk: SmallDisk
) -> None:
    with disk.full():
        refused = sandbox.call("start")

    assert refused.returncode == 1
    assert "No space left on device" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_instance_is_supervised_on_when_the_disk_fills_up(
    sandbox: ProjectSandbox, disk: SmallDisk
) -> None:
    sandbox.call("start", "--detach")
    serving = sandbox.pid("serving")

    with ExitStack() as stack:
        stack.enter_context(disk.full())
        sandbox.kill("serving")
        assert eventually(lambda: sandbox.pid("serving") not in {0, serving})
        assert eventually(lambda: sandbox.call("status").returncode == 0)
        stopped = sandbox.call("stop")

    assert stopped.returncode == 0, stopped.stderr
    assert gone(serving)
