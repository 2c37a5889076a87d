"""Several processes may run the tests: what one makes, the others find, and no port comes twice."""

from __future__ import annotations

from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from tests import workers
from tests.running import ROOT, free_port


def test_groups_are_folders_and_files_of_tests() -> None:
    assert all((ROOT / place).exists() for place in workers.FIRST)


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/attack/test_attacks.py::test_it[a::b/c]", "tests/attack/"),
        ("tests/scripts/test_digits.py::test_it", "tests/scripts/"),
        ("tests/scripts/loading/test_pictures.py::test_it", "tests/scripts/loading/"),
        ("tests/test_layers.py::test_it", "tests/test_layers.py"),
        ("tests/model_server/rest/test_api.py::test_it[x]", "tests/model_server/rest/test_api.py"),
    ],
)
def test_a_test_runs_in_one_process_with_its_group(nodeid: str, group: str) -> None:
    assert workers.group(nodeid) == group


def test_the_longest_groups_come_first() -> None:
    ranks = [workers.rank(f"{place}::test_it") for place in workers.FIRST]

    assert ranks == sorted(ranks)
    assert workers.rank("tests/test_layers.py::test_it") > ranks[-1]


def test_a_folder_is_written_by_the_first_that_needs_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    name = f"once_for_{tmp_path.name}"

    def write(folder: Path) -> None:
        (folder / "written").touch(exist_ok=False)

    with ThreadPool(4) as pool:
        arguments = [(tmp_path_factory, name, write)] * 8
        folders = set(pool.starmap(workers.written_once, arguments))

    [folder] = folders
    assert (folder / "written").is_file()


def test_what_was_half_written_is_written_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        workers.written_once(tmp_path_factory, "half_written", fail)

    folder = workers.written_once(tmp_path_factory, "half_written", lambda _: None)
    assert not (folder / "half").exists()


def test_no_port_is_given_out_twice() -> None:
    """Threads open the locked file as often as processes do, so they stand for them."""
    with ThreadPool(4) as pool:
        ports = pool.starmap(free_port, [()] * 60, chunksize=1)

    assert len(set(ports)) == 60
