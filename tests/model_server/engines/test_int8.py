"""Which versions are loaded in their int8 form, and what is loaded instead.

The int8 form is an IR of floats here: the engine runs it whatever is in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_catalog.quantization import FOLDER, GRAPH_FILE, REPORT_FILE
from model_server.engines.choose import choose_engine
from model_server.flag_table import FLAGS
from model_server.flags import parse
from tests.reports import REPORT

openvino = pytest.importorskip("openvino", reason="the extra [openvino] is not installed")

has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
INSTEAD = "openvino; precision=bf16" if has_bf16 else "openvino; precision=f32"
INT8 = "openvino; precision=int8"


@pytest.fixture
def plain(exports: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exports / "unit" / "1", tmp_path / "1")


@pytest.fixture
def version(plain: Path) -> Path:
    model = openvino.Core().read_model(str(plain))
    openvino.save_model(model, plain / GRAPH_FILE, compress_to_fp16=False)
    (plain / REPORT_FILE).write_text(REPORT.to_json())
    return plain


def flags(precision: str, *others: str) -> Mapping[str, Any]:
    words = ["--model_base_path=/models/m", f"--precision={precision}", *others]
    return parse(words, FLAGS).values


@pytest.mark.parametrize(
    ("precision", "engine"),
    [("int8", INT8), ("auto", INT8), ("f32", "openvino; precision=f32")],
)
def test_int8_is_loaded_where_the_option_asks_for_it(
    version: Path, precision: str, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose_engine(flags(precision)).load(version).engine == engine
    assert caplog.records == []


def test_the_cache_keeps_the_int8_form(exports: Path, version: Path, tmp_path: Path) -> None:
    with np.load(exports / "unit" / "expected.npz") as truth:
        levels, wanted = truth["levels"], truth["from_levels"]
    pixels = np.array([picture.tobytes() for picture in levels], dtype=object)
    for _ in range(2):
        engine = choose_engine(flags("int8", f"--openvino_cache_dir={tmp_path / 'cache'}"))
        scores = engine.load(version).run("pixels", {"pixels": pixels})["scores"]
        np.testing.assert_allclose(scores, wanted, atol=0.05)  # bf16, if the processor has it

    assert len(list((tmp_path / "cache").glob("*/*.blob"))) == 1


def test_a_version_without_int8_is_computed_as_with_auto_and_one_warning(
    plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose_engine(flags("int8")).load(plain).engine == INSTEAD
    assert choose_engine(flags("auto")).load(plain).engine == INSTEAD

    (warning,) = caplog.messages
    assert warning.startswith(f"{plain} has no int8 form")


@pytest.mark.parametrize(
    ("report", "warnings"),
    [
        (replace(REPORT, speedup=1.1).to_json(), []),
        (replace(REPORT, images_per_second={"int8": 30.0}).to_json(), []),
        ("{}", ["is not used: "]),
    ],
)
def test_auto_takes_int8_only_where_the_report_allows_it(
    version: Path, report: str, warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (version / REPORT_FILE).write_text(report)

    assert choose_engine(flags("auto")).load(version).engine == INSTEAD

    assert len(caplog.messages) == len(warnings)
    assert all(text in told for text, told in zip(warnings, caplog.messages, strict=True))


def damage(version: Path) -> None:
    (version / GRAPH_FILE).write_text("no graph")


def turn_round(version: Path) -> None:
    """Make the int8 form compute other scores than the report explains."""
    model = openvino.Core().read_model(str(version))
    scores = model.output().get_node().input_value(0)
    other = openvino.opset13.subtract(np.float32(1.0), scores)
    changed = openvino.Model([other], model.get_parameters(), "changed")
    shutil.rmtree(version / FOLDER)
    openvino.save_model(changed, version / GRAPH_FILE, compress_to_fp16=False)
    (version / REPORT_FILE).write_text(replace(REPORT, golden_tolerance=0.05).to_json())


def lose_report(version: Path) -> None:
    turn_round(version)
    (version / REPORT_FILE).unlink()


@pytest.mark.parametrize("harm", [damage, turn_round, lose_report])
def test_an_int8_form_that_fails_is_replaced_by_the_savedmodel(
    version: Path, harm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    harm(version)

    assert choose_engine(flags("int8")).load(version).engine == INSTEAD

    (warning,) = caplog.messages
    assert warning.startswith(f"The int8 form of {version} is not used: ")
