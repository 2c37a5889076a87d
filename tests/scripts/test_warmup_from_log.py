"""Requests that the model server has logged become warm-up requests that it replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.request_logs import log_files
from model_server.metrics import Metrics
from model_server.request_log.log_files import LogLimits
from model_server.request_log.records import Answered, LogKind, SerializedCall
from model_server.request_log.request_log import RequestLog, RequestLogOptions
from model_server.tfrecord import read_records
from scripts.warmup_from_log import main, newest_records
from scripts.warmup_requests import WARMUP_FILE
from serving_api.messages import message
from tests.docs.shell_blocks import arguments
from tests.model_server.request_log.logged import logged_models


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    return folder


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Return the prefix of a log of several files: m0, n1, m2, n3, ...; one record is broken."""
    prefix = str(tmp_path / "logs" / "both")
    options = RequestLogOptions(limits=LogLimits(max_file_bytes=200))
    log = RequestLog(Metrics(), options)
    log.configure(logged_models(prefix, "m", "n"))
    for number in range(10):
        request = b"" if number != 7 else b"\xff"
        answered = Answered(LogKind.PREDICT, number, "s")
        log.offer("mn"[number % 2], SerializedCall(answered, request, b""))
    log.stop(10)
    assert len(log_files(prefix)) > 1
    return prefix


def logged_versions(file: Path) -> list[int]:
    logs = [message("PredictionLog").FromString(record) for record in read_records(file)]
    return [log.log_metadata.model_spec.version.value for log in logs]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [0, 1, 2, 3, 4, 5, 6, 8, 9]),
        (("--count=3",), [6, 8, 9]),
        (("--model=n", "--count=3"), [3, 5, 9]),
    ],
)
def test_the_newest_requests_replace_those_of_the_version(
    prefix: str, version: Path, options: tuple[str, ...], expected: list[int]
) -> None:
    file = version / WARMUP_FILE
    file.parent.mkdir()
    file.write_text("old")

    assert main([prefix, str(version), *options]) == 0

    assert logged_versions(file) == expected
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o777 == file.parent.stat().st_mode & 0o666


def test_the_command_of_the_manual_does_it(prefix: str, version: Path) -> None:
    ((_, _, *options),) = arguments("docs/model_server.md", "warmup_from_log.py")

    assert main([prefix, str(version), "--model=m", *options]) == 0

    assert logged_versions(version / WARMUP_FILE) == [0, 2, 4, 6, 8]


def test_a_graph_file_is_a_version_too(prefix: str, version: Path) -> None:
    (version / "saved_model.pb").rename(version / "model.tflite")

    assert main([prefix, str(version), "--count=1"]) == 0

    assert logged_versions(version / WARMUP_FILE) == [9]


def test_a_file_that_grows_can_be_read(prefix: str) -> None:
    newest = log_files(prefix)[-1]
    newest.write_bytes(newest.read_bytes() + b"\x09")

    assert len(newest_records(prefix, 1000)) == 9


def test_without_requests_nothing_is_written(
    prefix: str, version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([prefix, str(version), "--model=other"]) == 1
    assert main([f"{prefix}-none", str(version)]) == 1

    assert "no requests of model other in files with the prefix" in capsys.readouterr().err
    assert not (version / WARMUP_FILE).parent.exists()


def test_a_folder_that_is_no_version_is_refused(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([prefix, str(tmp_path)]) == 1

    assert f"{tmp_path} is no version of a model" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "1001", "x"])
def test_a_count_that_servers_refuse_is_wrong_usage(
    count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["/logs/m", "/m/1", f"--count={count}"])

    assert caught.value.code == 2
    assert f"argument --count: {count} is not allowed; allowed is 1" in capsys.readouterr().err
