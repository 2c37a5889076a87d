"""An export is compared with its source model before it is published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_catalog.golden import FOLDER, SCORES_FILE, TOLERANCE, TOLERANCE_16_BIT, read_golden
from model_catalog.spec import InputSpec, ModelSpec
from scripts.checks import verification, verify_program
from scripts.checks.golden_scores import golden_of, tolerance_of
from scripts.checks.probe_pictures import probe_pictures

# Before the fixture "tensorflow" replaces it.
from scripts.checks.verification import fresh_report, weight_bytes
from scripts.errors import ScriptError
from scripts.export_saved_model import export
from scripts.version_folders import versions
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def test_a_fresh_process_finds_the_export_the_same(exported: Path, model: keras.Model) -> None:
    assert fresh_report(exported, weight_bytes(model)) == {"problems": [], "openvino": None}


def test_a_process_that_fails_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="process that verifies it ended with code 1"):
        fresh_report(tmp_path, 0)


def test_a_process_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sleeps.py"
    program.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(verify_program, "__file__", str(program))
    monkeypatch.setattr(verification, "_MINUTES", 0.001)

    with pytest.raises(ScriptError, match="was not verified within"):
        fresh_report(tmp_path, 0)


def test_other_scores_are_a_problem_of_each_signature(copy: Path, model: keras.Model) -> None:
    file = copy / FOLDER / SCORES_FILE
    document = json.loads(file.read_text())
    document["pictures"][0]["scores"][0] += 2e-5
    file.write_text(json.dumps(document))

    found = verify_program.problems(copy, weight_bytes(model))

    assert [text.split(" differ")[0] for text in found] == [
        f"The scores of its signature {name}" for name in ("serving_default", "pixels", "image")
    ]
    assert "differ by up to 2e-05 from those of the model file; allowed is 1e-05." in found[0]


def test_variables_that_are_missing_are_told(copy: Path, model: keras.Model) -> None:
    assert verify_program.problems(copy, 3 * weight_bytes(model) + 2**20)[0].startswith(
        "Its variables take "
    )
    for file in (copy / "variables").iterdir():
        file.unlink()

    size, loading = verify_program.problems(copy, weight_bytes(model))

    assert size.startswith("Its variables take 0 bytes; the weights of the model take ")
    assert loading.startswith("TensorFlow cannot load it: ")


def test_an_export_that_differs_is_not_published(
    model: keras.Model, spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {"problems": ["Its scores differ."], "openvino": None}
    monkeypatch.setattr(verification, "fresh_report", lambda *_: report)

    with pytest.raises(ScriptError, match=r"is not published.*Its scores differ\."):
        export(model, tmp_path, spec)

    assert versions(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_other_scores_of_openvino_are_a_warning(
    model: keras.Model,
    spec: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = {"problems": [], "openvino": 0.154}
    monkeypatch.setattr(verification, "fresh_report", lambda *_: report)

    export(model, tmp_path, spec)

    assert "warning: OpenVINO computes other scores for this model (they differ by up to 0.15)" in (
        capsys.readouterr().out
    )


def test_the_weights_are_counted_once() -> None:
    import keras

    shared = keras.layers.Dense(5)
    inputs = keras.Input((5,))

    model = keras.Model(inputs, shared(shared(inputs)))

    assert weight_bytes(model) == (25 + 5) * 4


def test_the_export_has_the_scores_of_the_model(
    exported: Path, model: keras.Model, spec: ModelSpec
) -> None:
    import numpy as np

    golden = read_golden(exported, spec.images)

    assert golden is not None
    assert {p.name: p.pixels for p in golden.pictures} == probe_pictures(spec.images)
    levels = np.frombuffer(golden.pictures[1].pixels, np.uint8).reshape(1, 6, 5, 3)
    mean = np.array([103.939, 116.779, 123.68])
    scores = model((levels[..., ::-1] - mean).astype(np.float32))
    np.testing.assert_allclose([golden.pictures[1].scores], scores, atol=1e-6)


def test_scores_that_are_not_finite_are_refused(spec: ModelSpec) -> None:
    with pytest.raises(ScriptError, match="not all finite numbers"):
        golden_of(lambda images: images / 0.0, spec.images)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", TOLERANCE), ("mixed_bfloat16", TOLERANCE_16_BIT)]
)
def test_numbers_of_16_bits_may_differ_more(dtype: str, tolerance: float) -> None:
    import keras

    model = classifier(keras.layers.Conv2D(3, 1, dtype=dtype))

    assert tolerance_of(model) == tolerance


def test_probe_pictures_are_the_same_everywhere() -> None:
    import hashlib

    pictures = probe_pictures(InputSpec(height=24, width=32))

    digests = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in pictures.items()}
    assert digests == DIGESTS
    assert len(probe_pictures(InputSpec(height=1, width=1, color="grayscale"))["discs"]) == 1


DIGESTS = {"blocks": "4c6d5441024d9a96", "clouds": "61f2bef799767cf7", "discs": "48d472360de56833"}
