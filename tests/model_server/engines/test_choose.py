"""Which flags choose which engine, and which engine serves which model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_catalog.golden import FOLDER, SCORES_FILE
from model_server.engines.choose import OpenVINOFirstEngine, choose_engine
from model_server.engines.tensorflow_engine import TensorFlowEngine
from model_server.errors import FailedPrecondition, InvalidArgument
from model_server.flag_table import FLAGS
from model_server.flags import parse
from tests.model_server.harness import SERVER, server_process

pytest.importorskip("openvino", reason="the extra [openvino] is not installed")


def flags(*given: str) -> Mapping[str, Any]:
    return parse(["--model_base_path=/models/m", *given], FLAGS).values


@pytest.mark.parametrize(
    ("given", "engine"),
    [
        ([], OpenVINOFirstEngine),
        (["--engine=auto"], OpenVINOFirstEngine),
        (["--engine=auto", "--precision=bf16"], OpenVINOFirstEngine),
        (["--precision=int8"], OpenVINOFirstEngine),
        (["--engine=auto", "--saved_model_tags=serve,gpu"], TensorFlowEngine),
        (["--engine=openvino"], OpenVINOFirstEngine),
        (["--engine=tensorflow"], TensorFlowEngine),
        (["--engine=tensorflow", "--precision=auto"], TensorFlowEngine),
    ],
)
def test_flags_choose_the_engine(given: list[str], engine: type) -> None:
    assert type(choose_engine(flags(*given))) is engine


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--engine=torch"], "--engine is 'torch'; allowed are auto, tensorflow, openvino."),
        (["--precision=f16"], "--precision is 'f16'; allowed are f32, bf16, int8, auto."),
        (["--engine=tensorflow", "--precision=bf16"], "--precision=bf16 needs OpenVINO"),
        (["--engine=tensorflow", "--precision=int8"], "--precision=int8 needs OpenVINO"),
        (["--streams=0"], "--streams is 0; at least 1 is needed."),
        (["--engine=tensorflow", "--streams=2"], "--streams needs OpenVINO"),
        (["--engine=openvino", "--saved_model_tags=gpu"], "gpu needs --engine=tensorflow"),
    ],
)
def test_invalid_flags_are_refused(given: list[str], complaint: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        choose_engine(flags(*given))

    assert complaint in refusal.value.message


def test_without_openvino_tensorflow_serves_unless_openvino_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    assert type(choose_engine(flags())) is TensorFlowEngine
    with pytest.raises(FailedPrecondition, match=r"-m pip install .*\[openvino\]'"):
        choose_engine(flags("--engine=openvino"))


def test_without_tensorflow_openvino_serves(monkeypatch: pytest.MonkeyPatch, exports: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    engine = choose_engine(flags())

    model = engine.load(exports / "tf" / "1")

    assert "describe" in model.signatures
    with pytest.raises(
        FailedPrecondition, match="No conversion rule.* TensorFlow is not installed"
    ):
        engine.load(exports / "strange" / "1")


def config(file: Path, **models: Path) -> str:
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
        for name, path in models.items()
    )
    file.write_text(f"model_config_list {{ {entries} }}")
    return f"--model_config_file={file}"


def change_golden_scores(version: Path) -> None:
    file = version / FOLDER / SCORES_FILE
    document = json.loads(file.read_text())
    document["pictures"][1]["scores"][2] += 0.5
    file.write_text(json.dumps(document))


def test_openvino_does_not_serve_an_export_whose_scores_differ(
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    version = shutil.copytree(exports / "unit" / "1", tmp_path / "1")
    change_golden_scores(version)

    with pytest.raises(FailedPrecondition) as refusal:
        choose_engine(flags()).load(version)

    assert "differ by up to 0.5 from" in caplog.text + refusal.value.message


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("engine", "warned"),
    [("auto", {"strange", "other"}), ("openvino", {"strange", "other", "linear"})],
)
def test_tensorflow_serves_what_openvino_cannot(
    exports: Path, saved_models: Path, tmp_path: Path, engine: str, warned: set[str]
) -> None:
    other_scores = shutil.copytree(exports / "unit", tmp_path / "other")
    change_golden_scores(other_scores / "1")
    models = {
        "tf": exports / "tf",
        "strange": exports / "strange",
        "other": other_scores,
        "linear": saved_models / "linear",
    }
    flag = config(tmp_path / "models.config", **models)
    with server_process(SERVER, tmp_path / "log", f"--engine={engine}", flag) as process:
        scores = {}
        for name in ("tf", "strange"):
            with np.load(exports / name / "expected.npz") as expected:
                question = {"instances": expected["floats"].tolist()}
                answer = process.client.predict(name, question).json["predictions"]
                scores[name] = np.array(answer), expected["from_floats"]
        linear = process.client.predict("linear", {"instances": [[1.0, 1.0]]}).json
        picture = {"signature_name": "image", "instances": [{"b64": "R0lG"}]}
        refusals = {name: process.client.predict(name, picture).error for name in scores}

    for answer, truth in scores.values():
        np.testing.assert_allclose(answer, truth, atol=1e-4)
    assert linear == {"predictions": [[12.0]]}
    # Both cannot read the picture; only one of them has a decoder.
    assert "--engine tensorflow" in refusals["tf"]
    assert "--engine tensorflow" not in refusals["strange"]
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if " W " in line]
    assert {name for name in models if any(f"/{name}/" in line for line in warnings)} == warned
    # TensorFlow says of "other" that its scores differ as well.
    assert len(warnings) == len(warned) + 1
    assert sum("differ by up to 0.5 from those of the exported model" in w for w in warnings) == 2
    assert f"OpenVINO serves {exports / 'tf' / '1'}\n" in (tmp_path / "log").read_text()
