from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_server.metrics import Metrics
from model_server.models.versions import ModelConfig
from model_server.request_log.log_files import LogLimits
from model_server.request_log.records import Answered, LogKind, SerializedCall
from model_server.request_log.request_log import RequestLog, RequestLogOptions
from tests.model_server.request_log.logged import logged_models, read_logs


def call(text: bytes = b"") -> SerializedCall:
    return SerializedCall(Answered(LogKind.PREDICT, 1, "serving_default"), b"", text)


def counted(metrics: Metrics, model: str, code: str) -> int:
    start = f':tensorflow:serving:request_log_count{{model_name="{model}",status_code="{code}"}} '
    lines = [line for line in metrics.text().splitlines() if line.startswith(start)]
    return sum(int(line.removeprefix(start)) for line in lines)


def responses(prefix: str) -> list[bytes]:
    return [log.predict_log.response for log in read_logs(prefix)]


def logged_numbers(prefix: str, rate: float, seed: int = 0, count: int = 1000) -> list[int]:
    log = RequestLog(Metrics(), RequestLogOptions(seed=seed))
    log.configure(logged_models(prefix, "m", rate=rate))
    for number in range(count):
        log.offer("m", call(b"%d" % number))
    log.stop(60)
    return [int(text) for text in responses(prefix)]


def test_every_request_of_a_model_with_rate_1_is_logged_in_order(tmp_path: Path) -> None:
    prefix, metrics = str(tmp_path / "m"), Metrics()
    log = RequestLog(metrics)
    log.configure([*logged_models(prefix, "m", "n"), ModelConfig("off", Path("/m"))])

    for model in ("m", "n", "off", "m"):
        log.offer(model, call(model.encode()))
    log.stop(60)

    assert responses(prefix) == [b"m", b"n", b"m"]
    assert (counted(metrics, "m", "OK"), counted(metrics, "n", "OK")) == (2, 1)


def test_a_sample_is_repeatable_with_a_seed(tmp_path: Path) -> None:
    first, second, other = (
        logged_numbers(str(tmp_path / name), 0.1, seed)
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )

    assert first == second != other
    assert 50 < len(first) < 150


def test_a_new_configuration_changes_what_is_logged(tmp_path: Path) -> None:
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    log = RequestLog(Metrics())
    log.configure(logged_models(old, "m", "n"))
    log.offer("m", call(b"1"))
    log.configure(logged_models(new, "m"))
    log.offer("m", call(b"2"))
    log.offer("n", call(b"2"))
    log.configure([])
    log.offer("m", call(b"3"))
    log.stop(60)

    assert (responses(old), responses(new)) == ([b"1"], [b"2"])


def test_an_unchanged_model_goes_on_with_its_sample(tmp_path: Path) -> None:
    prefix = str(tmp_path / "m")
    log = RequestLog(Metrics(), RequestLogOptions(seed=7))
    for number in range(100):
        log.configure(logged_models(prefix, "m", rate=0.5))
        log.offer("m", call(b"%d" % number))
    log.stop(60)

    assert [int(text) for text in responses(prefix)] == logged_numbers(
        str(tmp_path / "n"), 0.5, 7, 100
    )


@pytest.mark.parametrize(
    "options",
    [
        RequestLogOptions(max_queued_bytes=1000),
        RequestLogOptions(limits=LogLimits(max_file_bytes=1000)),
    ],
)
def test_a_record_that_does_not_fit_is_dropped_and_counted(
    tmp_path: Path, options: RequestLogOptions
) -> None:
    prefix, metrics = str(tmp_path / "m"), Metrics()
    log = RequestLog(metrics, options)
    log.configure(logged_models(prefix, "m"))

    log.offer("m", call(bytes(1001)))
    log.offer("m", call(bytes(990)))  # too large only with what stands around it
    log.offer("m", call(b"fits"))
    log.stop(60)

    assert responses(prefix) == [b"fits"]
    assert counted(metrics, "m", "RESOURCE_EXHAUSTED") == 2


def test_after_the_stop_nothing_is_logged(tmp_path: Path) -> None:
    prefix, metrics = str(tmp_path / "m"), Metrics()
    log = RequestLog(metrics)
    log.configure(logged_models(prefix, "m"))
    log.stop(60)

    log.offer("m", call())

    assert responses(prefix) == []
    assert counted(metrics, "m", "RESOURCE_EXHAUSTED") == 1


@dataclass(frozen=True)
class Defect:
    answered = Answered(LogKind.PREDICT, 1, "")

    def size(self) -> int:
        return 10

    def messages(self) -> tuple[bytes, bytes]:
        raise ZeroDivisionError


def test_a_defect_is_counted_and_takes_no_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix, metrics = str(tmp_path / "m"), Metrics()
    log = RequestLog(metrics, RequestLogOptions(max_queued_bytes=100))
    log.configure(logged_models(prefix, "m"))

    with caplog.at_level(logging.CRITICAL):
        for _ in range(20):
            log.offer("m", Defect())
    log.offer("m", call(b"fits"))
    log.stop(60)

    assert responses(prefix) == [b"fits"]
    assert counted(metrics, "m", "INTERNAL") == 20


def test_files_that_cannot_be_written_are_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    prefix, metrics = str(tmp_path / "file" / "m"), Metrics()
    log = RequestLog(metrics)
    log.configure(logged_models(prefix, "m"))

    for _ in range(3):
        log.offer("m", call())
    log.stop(60)

    assert counted(metrics, "m", "UNKNOWN") == 3
    assert caplog.text.count(f"Requests cannot be logged to {prefix}: ") == 1
