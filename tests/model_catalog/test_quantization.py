"""The report about an int8 form is read as it was written, and says what it allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_catalog.golden import TOLERANCE_16_BIT, Golden
from model_catalog.quantization import (
    REPORT_FILE,
    QuantizationError,
    QuantizationReport,
    allowed_drift,
    read_report,
)
from tests.reports import REPORT


@pytest.fixture
def version(tmp_path: Path) -> Path:
    (tmp_path / REPORT_FILE).parent.mkdir()
    (tmp_path / REPORT_FILE).write_text(REPORT.to_json())
    return tmp_path


def test_a_report_is_read_as_it_was_written(version: Path, tmp_path: Path) -> None:
    assert read_report(version) == REPORT
    assert read_report(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        REPORT.to_json().replace('"format": 1', '"format": 2'),
        REPORT.to_json().replace('"seed"', '"seeds"'),
        REPORT.to_json().replace("0.3", "NaN"),
        json.dumps(json.loads(REPORT.to_json()) | {"speedup": "fast"}),
        json.dumps(json.loads(REPORT.to_json()) | {"images_per_second": [1]}),
    ],
)
def test_an_invalid_report_is_told(version: Path, text: str) -> None:
    (version / REPORT_FILE).write_text(text)

    with pytest.raises(QuantizationError, match=r"quantization\.json is invalid: "):
        read_report(version)


def test_int8_is_the_fastest_only_among_measured_precisions() -> None:
    assert REPORT.is_fastest_of(("f32", "bf16"))
    assert REPORT.is_fastest_of(("f32",))
    assert not REPORT.is_fastest_of(("f32", "f16"))


def test_int8_that_was_measured_slow_is_not_the_fastest() -> None:
    slow = json.loads(REPORT.to_json()) | {"speedup": 1.0}

    assert not QuantizationReport.from_json(json.dumps(slow)).is_fastest_of(("f32",))


@pytest.mark.parametrize(
    ("precision", "allowed"),
    [("f32", 0.001), (None, 0.001), ("bf16", TOLERANCE_16_BIT), ("int8", 0.3)],
)
def test_the_allowed_drift_depends_on_the_precision(
    version: Path, precision: str | None, allowed: float
) -> None:
    assert allowed_drift(version, Golden(()), precision) == allowed


def test_without_a_report_int8_has_the_tolerance_of_the_export(tmp_path: Path) -> None:
    assert allowed_drift(tmp_path, Golden(()), "int8") == 0.001
