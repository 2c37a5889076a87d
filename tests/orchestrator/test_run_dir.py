from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import RunDirUnusable
from orchestrator.processes import identity
from orchestrator.run_dir import RunDir
from orchestrator.serving_command import (
    BATCHING_CONFIG,
    CONFIG,
    MONITORING_CONFIG,
    OPENVINO_CACHE,
)
from scripts.prepare_models import Paths

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.run_dir import RunDir
print(RunDir(Path(sys.argv[1])).acquire(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def own_record() -> dict[str, object]:
    return {"pid": os.getpid(), "identity": identity(os.getpid()), "children": {}}


def test_only_one_holds_the_lock(run_dir: RunDir) -> None:
    second = RunDir(run_dir.path)

    assert run_dir.acquire()
    assert not second.acquire()
    run_dir.release()
    assert second.acquire()
    second.release()


def test_the_holder_of_the_lock_is_known_before_any_state_is_written(run_dir: RunDir) -> None:
    assert run_dir.starting() is None
    run_dir.acquire()

    holder = run_dir.starting()

    assert holder is not None
    assert holder["pid"] == os.getpid()
    run_dir.release()
    assert run_dir.starting() is None


def test_a_killed_holder_releases_the_lock(run_dir: RunDir) -> None:
    argv = [sys.executable, "-c", HOLDER, str(run_dir.path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not run_dir.acquire()

        assert (run_dir.starting() or {})["pid"] == holder.pid
        holder.kill()
        holder.wait()

        assert run_dir.acquire()
    run_dir.release()


def test_the_written_state_is_that_of_the_running_instance(run_dir: RunDir) -> None:
    run_dir.acquire()

    run_dir.write(own_record())

    assert run_dir.running() == own_record()
    assert run_dir.stale_notice() is None
    run_dir.release()
    assert run_dir.running() is None


def test_a_second_release_leaves_the_next_holder_alone(run_dir: RunDir) -> None:
    run_dir.acquire()
    run_dir.release()
    following = RunDir(run_dir.path)
    following.acquire()
    following.write(own_record())

    run_dir.release()

    assert following.running() == own_record()
    following.release()


def test_the_state_of_another_process_with_this_pid_is_stale(run_dir: RunDir) -> None:
    run_dir.prepare()

    run_dir.write(own_record() | {"identity": "1"})

    assert run_dir.running() is None
    assert f"PID {os.getpid()} is another program now: " in (run_dir.stale_notice() or "")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ready": true}'])
def test_a_damaged_state_file_counts_as_none(run_dir: RunDir, text: str) -> None:
    run_dir.prepare()
    (run_dir.path / "auto_cmd.json").write_text(text)

    assert run_dir.running() is None
    assert run_dir.stale_notice() is None


def test_a_file_for_a_child_is_rewritten_only_when_it_changes(run_dir: RunDir) -> None:
    run_dir.write_text("models.config", "one")
    first = (run_dir.path / "models.config").stat()
    run_dir.write_text("models.config", "one")
    assert (run_dir.path / "models.config").stat().st_ino == first.st_ino

    run_dir.write_text("models.config", "two")

    assert (run_dir.path / "models.config").read_text() == "two"


def test_a_damaged_file_for_a_child_is_replaced(run_dir: RunDir) -> None:
    run_dir.prepare()
    (run_dir.path / "models.config").write_bytes(b"\xff\xfe")

    run_dir.write_text("models.config", "one")

    assert (run_dir.path / "models.config").read_text() == "one"


def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunDirUnusable, match="cannot be used for state and logs"):
        RunDir(tmp_path / "file" / "run").acquire()


def test_a_file_system_without_locks_is_reported(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)  # as Lustre without the option flock does

    with pytest.raises(RunDirUnusable, match="cannot be locked .*choose a folder on a local disk"):
        run_dir.acquire()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_that_others_use_too_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "run" / "other").touch()
    run_dir = RunDir(tmp_path / "run")

    assert run_dir.acquire()

    assert mode(run_dir.path) == 0o755
    assert mode(run_dir.path / "auto_cmd.lock") == 0o600
    assert mode(run_dir.logs) == 0o700
    run_dir.release()


def test_a_folder_that_only_an_instance_uses_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "run" / OPENVINO_CACHE).mkdir()
    (tmp_path / "run" / Paths().attempt_file.name).touch()  # of make run, before the first start
    for name in (CONFIG, BATCHING_CONFIG, MONITORING_CONFIG):
        (tmp_path / "run" / name).touch()
        (tmp_path / "run" / name).chmod(0o644)
    run_dir = RunDir(tmp_path / "run")

    assert run_dir.acquire()

    assert mode(run_dir.path) == 0o700
    assert {mode(path) for path in run_dir.path.glob("*.config")} == {0o600}
    run_dir.release()


def test_the_state_can_be_read_where_its_file_cannot_be_written(run_dir: RunDir) -> None:
    run_dir.acquire()
    (run_dir.path / "auto_cmd.draft").symlink_to("/dev/full")

    with pytest.raises(RunDirUnusable, match="No space left"):
        run_dir.write(own_record())

    assert RunDir(run_dir.path).running() == own_record()
    run_dir.release()
    assert RunDir(run_dir.path).running() is None


def test_the_space_of_the_state_stays_reserved(run_dir: RunDir) -> None:
    run_dir.acquire()
    size = (run_dir.path / "auto_cmd.lock").stat().st_size
    run_dir.write(own_record() | {"text": "x" * 5000})
    run_dir.write(own_record())

    assert run_dir.running() == own_record()
    run_dir.release()
    assert (run_dir.path / "auto_cmd.lock").stat().st_size == size > 5000


def test_a_killed_instances_children_are_known_to_the_next_one(run_dir: RunDir) -> None:
    run_dir.acquire()
    child = {"pid": os.getpid(), "identity": identity(os.getpid())}
    run_dir.write({"pid": 1, "identity": "ended", "children": {"gateway": child}})
    os.close(run_dir._lock or 0)
    following = RunDir(run_dir.path)

    assert following.acquire()

    assert following.leftovers() == {"gateway": child}
    following.release()


def test_a_half_written_lock_file_names_nobody(run_dir: RunDir) -> None:
    run_dir.acquire()
    (run_dir.path / "auto_cmd.lock").write_text('{"pid": 1, "ident')

    assert run_dir.starting() is None
    run_dir.release()
