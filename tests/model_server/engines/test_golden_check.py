"""An export that returns other scores than its source model is told apart at load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_catalog.golden import FOLDER, Golden, GoldenPicture, write_golden
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec, OutputSpec
from model_server.engines.golden_check import require_golden_scores
from model_server.engines.protocol import Signature, Tensors
from model_server.errors import DeadlineExceeded, FailedPrecondition

SPEC = ModelSpec(
    name="toy",
    input=InputSpec(height=1, width=2, scale="unit"),
    output=OutputSpec(classes=2),
    labels=(("0", "a"), ("1", "b")),
)
GOLDEN = Golden(
    (GoldenPicture("dark", bytes(6), (0.0, 1.0)), GoldenPicture("light", b"\xff" * 6, (1.0, 0.0)))
)


class Model:
    """Scores by brightness, changed by a function."""

    signatures: Mapping[str, Signature] = {}

    def __init__(self, change: Callable[[float], float], engine: str = "openvino") -> None:
        self.change = change
        self.engine = engine
        self.runs = 0

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        assert signature == "pixels"
        self.runs += 1
        light = [self.change(data[0] / 255) for data in inputs["pixels"]]
        return {"scores": np.array([[x, 1 - x] for x in light], np.float32)}

    def close(self) -> None: ...


@pytest.fixture
def version(tmp_path: Path) -> Path:
    write_golden(tmp_path, SPEC.images, GOLDEN)
    (tmp_path / SPEC_FILE).write_text(SPEC.to_json())
    return tmp_path


@pytest.mark.parametrize(
    ("change", "engine"),
    [
        (lambda x: x, "tensorflow"),
        (lambda x: x + 5e-4, "openvino; precision=f32"),
        (lambda x: x * 0.9, "openvino; precision=bf16"),
    ],
)
def test_the_same_scores_are_accepted(
    version: Path, change: Callable[[float], float], engine: str
) -> None:
    model = Model(change, engine)

    require_golden_scores(model, version)

    assert model.runs > 0


@pytest.mark.parametrize(
    ("engine", "change", "said", "allowed"),
    [
        ("openvino; precision=f32", 0.01, "0.01", "0.001"),
        ("openvino; precision=f32", float("nan"), "inf", "0.001"),
        ("openvino; precision=bf16", 0.25, "0.25", "0.2"),
        ("openvino; precision=bf16", float("nan"), "inf", "0.2"),
    ],
)
def test_other_scores_are_refused(
    version: Path, engine: str, change: float, said: str, allowed: str
) -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        require_golden_scores(Model(lambda light: light + change, engine), version)

    assert refusal.value.message == (
        f"Its scores of the golden images differ by up to {said} from those of the exported "
        f"model; allowed is {allowed}."
    )


def test_a_version_without_golden_pictures_or_spec_is_not_checked(tmp_path: Path) -> None:
    require_golden_scores(Model(lambda _: 7.0), tmp_path)
    (tmp_path / SPEC_FILE).parent.mkdir()
    (tmp_path / SPEC_FILE).write_text(SPEC.to_json())
    require_golden_scores(Model(lambda _: 7.0), tmp_path)


def test_a_version_whose_model_takes_no_images_is_not_checked(version: Path) -> None:
    (version / SPEC_FILE).write_text(replace(SPEC, input=None).to_json())

    require_golden_scores(Model(lambda _: 7.0), version)


def test_damaged_golden_pictures_and_slow_runs_are_told(
    version: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def slow(_: float) -> float:
        raise DeadlineExceeded("The run took longer than 1 ms.")

    require_golden_scores(Model(slow), version)
    (version / FOLDER / "light.png").write_bytes(b"no picture")
    require_golden_scores(Model(lambda _: 7.0), version)

    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"The scores of {version} are not checked"
    ] * 2
    assert "the image is no PNG file" in caplog.text
