"""A small classifier is quantised, compared, published and served; or refused, and nothing written.

The model tells red, green and blue pictures apart, so f32 is sure of all of them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks import in_process, prepare_int8
from model_catalog.quantization import GRAPH_FILE, WEIGHTS_FILE, read_report
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec, OutputSpec
from model_server.engines.choose import choose_engine
from model_server.flag_table import FLAGS
from model_server.flags import parse
from scripts import quantize_model
from scripts.errors import ScriptError
from scripts.export_saved_model import export
from scripts.quantization import comparison, job, networks
from scripts.quantization.job import QuantizeOptions, Result, publish, quantize, refusals
from tests.docs.shell_blocks import arguments

if TYPE_CHECKING:
    import keras

pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
pytest.importorskip("nncf", reason="the extra [quantize] is not installed")
pytestmark = pytest.mark.tensorflow

SPEC = ModelSpec(
    name="colours",
    input=InputSpec(height=16, width=16, scale="unit"),
    output=OutputSpec(classes=3),
    labels=(("r", "red"), ("g", "green"), ("b", "blue")),
)


def colours() -> keras.Model:
    """Return a model whose scores are the means of the channels, after two convolutions."""
    import keras

    keras.utils.set_random_seed(3)
    mixed = keras.layers.Conv2D(8, 1, use_bias=False, name="mix")
    parted = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="part")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            mixed,
            keras.layers.ReLU(),
            parted,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Softmax(),
        ]
    )
    mixed.kernel.assign(np.eye(3, 8)[None, None])
    kernel = np.zeros((3, 3, 8, 3))
    kernel[1, 1] = 12 * np.eye(8, 3)
    parted.kernel.assign(kernel)
    return model


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_TURN_S", 0.0)
    monkeypatch.setattr(comparison, "_ROUNDS", 1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(8):
        levels = rng.integers(0, 120, (24, 24, 3), np.uint8)
        levels[..., number % 3] += 100
        Image.fromarray(levels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def version(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(colours(), tmp_path_factory.mktemp("models") / "colours", SPEC)


def options(pictures: Path, **others: float) -> QuantizeOptions:
    given = {"images": 16, "min_speedup": 0.0} | others
    return QuantizeOptions(calibration=pictures, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(version: Path, pictures: Path) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "_TURN_S", 0.0)
        patch.setattr(comparison, "_ROUNDS", 1)
        return quantize(version, options(pictures))


def test_int8_agrees_with_f32_and_the_report_says_so(result: Result) -> None:
    report = result.report

    assert (report.calibration_pictures, report.calibration_images) == (6, 16)
    assert (report.comparison_pictures, report.comparison.images) == (2, 16)
    assert (report.comparison.sure, report.comparison.agreement) == (16, 1.0)
    assert 0 < report.comparison.mean_change <= report.comparison.largest_change < 0.05
    assert {"f32", "int8"} <= set(report.images_per_second)
    assert (report.method, report.kept) == ("plain", ())


def test_the_same_seed_gives_the_same_bytes(
    result: Result, version: Path, pictures: Path, tmp_path: Path
) -> None:
    again = quantize(version, options(pictures))
    for name, model in (("first", result.model), ("again", again.model)):
        networks.save(model, tmp_path / name / "model.xml")

    for file in ("model.xml", "model.bin"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "first" / file).read_bytes()


def test_the_next_version_has_the_savedmodel_and_is_served_in_int8(
    result: Result, version: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = publish(result)
    values = parse(["--model_base_path=/models/m", "--precision=int8"], FLAGS).values

    model = choose_engine(values).load(published)
    scores = model.run("pixels", {"pixels": np.array([bytes([200, 9, 9] * 256)], object)})["scores"]

    assert published == version.parent / str(int(version.name) + 1)
    for file in ("saved_model.pb", SPEC_FILE):
        assert (published / file).read_bytes() == (version / file).read_bytes()
    report = read_report(published)
    assert report is not None
    assert report.size["int8"] == (published / WEIGHTS_FILE).stat().st_size
    assert model.engine == "openvino; precision=int8"
    assert scores.argmax() == 0
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    model.close()


def test_the_benchmark_takes_any_int8_form_and_leaves_the_plain_version(
    version: Path, pictures: Path, tmp_path: Path
) -> None:
    files = [file.read_bytes() for file in sorted(pictures.iterdir())]

    made = prepare_int8.quantized(version, tmp_path / "colours_int8", files)

    assert [folder.name for folder in made.parent.iterdir()] == ["1"]
    assert (made / GRAPH_FILE).is_file()
    assert not (version / GRAPH_FILE).exists()


def test_the_limit_in_process_computes_the_int8_form(result: Result, tmp_path: Path) -> None:
    networks.save(result.model, tmp_path / GRAPH_FILE)
    red = np.zeros((1, 16, 16, 3), np.float32)
    red[..., 0] = 1

    assert in_process.openvino(tmp_path, "int8", 1)(red).argmax() == 0


def test_the_command_of_the_manual_does_it(
    version: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(version, "my_image_classifier/1")
    for folder in ("photos", "other_photos"):
        shutil.copytree(pictures, folder)
    (words,) = arguments("docs/engines.md", "quantize_model.py")

    assert quantize_model.main([*words, "--images", "16", "--min-speedup", "0"]) == 0

    assert (Path("my_image_classifier/2") / WEIGHTS_FILE).is_file()


def test_a_version_that_is_too_slow_in_int8_is_refused_by_the_command(
    version: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(version, pictures, min_speedup=1e9)

    told = capsys.readouterr()
    assert "same first class as f32  100.0% of the 16 sure images, 100.0% of all" in told.out
    assert told.err.startswith("No version is written. int8 is ")
    assert "(--min-speedup)" in told.err


def refuse(version: Path, pictures: Path, min_speedup: float) -> None:
    """Run the command for a version that it has to refuse."""
    before = set(version.parent.iterdir())
    words = [version, "--calibration", pictures, "--images", 16, "--min-speedup", min_speedup]

    assert quantize_model.main(list(map(str, words))) == 1
    assert set(version.parent.iterdir()) == before


@pytest.fixture
def damaged_plain_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reverse the order of the scores of the plain int8 form."""
    plain = networks.quantized

    def damaged(*given: object) -> object:
        import openvino
        from openvino import opset13

        model = plain(*given)  # type: ignore[arg-type]
        scores = model.output().get_node().input_value(0)
        return openvino.Model([opset13.negative(scores)], model.get_parameters(), "damaged")

    monkeypatch.setattr(networks, "quantized", damaged)


@pytest.mark.usefixtures("damaged_plain_int8")
def test_a_version_that_disagrees_in_int8_is_refused_by_the_command(
    version: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        networks, "quantized_with_care", lambda *given: networks.quantized(*given[:3])
    )

    refuse(version, pictures, min_speedup=0)

    told = capsys.readouterr()
    assert "same first class as f32  0.0% of the 16 sure images, 0.0% of all" in told.out
    assert told.err.startswith("No version is written. int8 and f32 have the same first class for")
    assert "(--min-agreement)" in told.err
    assert "(--min-speedup)" not in told.err


@pytest.mark.usefixtures("damaged_plain_int8")
def test_where_plain_int8_agrees_too_seldom_it_is_tried_with_more_care(
    version: Path, pictures: Path
) -> None:
    said: list[str] = []

    result = quantize(version, options(pictures), said.append)

    assert "0.0% of the sure images" in said[0]
    assert (result.report.method, result.report.comparison.agreement) == ("accuracy-aware", 1.0)


def test_operations_with_weights_of_floats_count_as_higher_precision(version: Path) -> None:
    assert len(networks.in_higher_precision(networks.read(version))) == 2


def test_reasons_name_the_numbers_and_the_options(result: Result) -> None:
    from dataclasses import replace

    seldom = replace(result.report.comparison, agreement=0.9)
    report = replace(result.report, comparison=seldom, speedup=1.0, min_speedup=1.15)

    assert list(refusals(report)) == [
        "int8 and f32 have the same first class for 90.0% of the 16 images where f32 is sure;"
        " needed are 99.0% (--min-agreement).",
        "int8 is 1.00 times as fast as the fastest other precision here; needed is 1.15 times"
        " (--min-speedup).",
    ]


def test_pictures_of_which_f32_is_not_sure_are_no_comparison(version: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "grey.png")
    grey = QuantizeOptions(calibration=tmp_path, holdout=tmp_path, images=2)

    with pytest.raises(ScriptError, match="f32 is not sure of the class of any image"):
        quantize(version, grey)


def test_other_folders_are_refused_in_a_sentence(version: Path, tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="is no version folder with a SavedModel"):
        job.spec_of(tmp_path)
    folder = tmp_path / "1"
    (folder / SPEC_FILE).parent.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    with pytest.raises(ScriptError, match="only exports of this project are quantised"):
        job.spec_of(folder)
    document = SPEC.to_dict() | {"task": "regression"}
    (folder / SPEC_FILE).write_text(json.dumps(document))
    with pytest.raises(ScriptError, match="is no classifier of images"):
        job.spec_of(folder)


def test_without_nncf_the_command_says_how_to_install_it(
    version: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    monkeypatch.setattr(networks, "find_spec", lambda name: None if name == "nncf" else name)

    assert quantize_model.main([str(version)]) == 1

    assert "[quantize]'" in capsys.readouterr().err
