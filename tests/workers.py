"""Share the tests out among several processes (pytest-xdist), and share what they make."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pytest

#: Tests that run in one process after another: a folder, since its files share costly fixtures,
#: or a file. The longest come first, so that no process is left with a long one at the end. A
#: folder in another one is a group of its own.
FIRST: Final = (
    "tests/scripts/",
    "tests/browser/",
    "tests/orchestrator/test_auto_cmd.py",
    "tests/attack/",
    "tests/orchestrator/test_real_pair.py",
    "tests/model_server/test_shared_conformance.py",
    "tests/scripts/loading/",
    "tests/test_end_to_end.py",
    "tests/scripts/checks/",
    "tests/docs/test_commands_run.py",
    "tests/model_server/engines/test_choose.py",
    "tests/orchestrator/test_odd_starts.py",
    "tests/orchestrator/test_unusable_models.py",
    "tests/clients/",
    "tests/resilience/",
    "tests/install/",
    "tests/orchestrator/test_versions_of_a_real_pair.py",
    "tests/model_server/test_process.py",
    "tests/flask_server/access/test_access_processes.py",
    "tests/flask_server/test_fuzz_api.py",
    "tests/fuzz/",
    "tests/orchestrator/test_leaks.py",
    "tests/model_server/engines/test_tensorflow_engine.py",
    "tests/model_server/engines/test_openvino_engine.py",
    "tests/flask_server/inference/test_heat_of_the_car.py",
    "tests/flask_server/inference/test_image_memory.py",
)


def is_worker() -> bool:
    """Tell whether this is one of several processes that run the tests."""
    return "PYTEST_XDIST_WORKER" in os.environ


def group(nodeid: str) -> str:
    """Return the group of a test; the tests of a group run in one process."""
    file = nodeid.partition("::")[0]
    return max((place for place in FIRST if file.startswith(place)), key=len, default=file)


def rank(nodeid: str) -> int:
    """Return the place of a test's group in ``FIRST``; all others come after these."""
    place = group(nodeid)
    return FIRST.index(place) if place in FIRST else len(FIRST)


def written_once(
    factory: pytest.TempPathFactory, name: str, write: Callable[[Path], object]
) -> Path:
    """Return a folder that the first process to need it has written, while the others waited."""
    root = factory.getbasetemp()
    folder = (root.parent if is_worker() else root) / name
    done = folder / ".written"
    with locked(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write(folder)
            done.touch()
    return folder


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Open a file that no other process opens in this way until the block ends."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file
