"""The export command: a model file becomes a version, and every failure is one line."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import export_saved_model
from scripts.export_saved_model import export, main
from scripts.loading.code_in_files import custom_objects
from scripts.loading.file_config import FileConfig
from scripts.version_folders import versions
from tests.running import SHARED
from tests.scripts.manual import manual_commands
from tests.scripts.models import classifier

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def model_file(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    classifier().save(path)
    return path


def spec_in(version: Path) -> ModelSpec:
    return ModelSpec.from_json((version / SPEC_FILE).read_bytes())


def test_a_keras_file_becomes_the_next_version(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7").mkdir()

    code = main(["--model", str(model_file), "--base-path", str(tmp_path), "--fit", "crop"])

    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert said.out.splitlines()[0].startswith("assumed: --scale tf (")
    assert said.out.splitlines()[1] == f"exported tiny to {tmp_path / '8'}"
    assert spec_in(tmp_path / "8").images.fit == "crop"


@pytest.mark.parametrize(("scale", "warned"), [("unit", 1), ("none", 0), (None, 0)])
def test_a_scaling_on_top_of_the_models_own_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scale: str | None, warned: int
) -> None:
    import keras

    file = tmp_path / "own.keras"
    classifier(keras.layers.Rescaling(1 / 255)).save(file)
    option = [] if scale is None else ["--scale", scale]

    assert main(["--model", str(file), "--base-path", str(tmp_path / "m"), *option]) == 0

    assert (
        capsys.readouterr().out.count("warning: --scale unit is applied in addition to") == warned
    )


@pytest.mark.parametrize(("option", "warned"), [("none", 1), ("softmax", 0)])
def test_a_softmax_in_addition_to_the_models_own_is_warned_of(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, warned: int
) -> None:
    arguments = ["--model", str(model_file), "--base-path", str(tmp_path)]

    assert main([*arguments, "--activation", option]) == 0

    text = "in addition to the model's own softmax; try --activation softmax"
    assert capsys.readouterr().out.count(text) == warned


def test_an_h5_file_does_too(tmp_path: Path) -> None:
    file = tmp_path / "old.h5"
    classifier().save(file)

    code = main(["--model", str(file), "--base-path", str(tmp_path / "m"), "--size", "6x5"])

    assert code == 0
    assert spec_in(tmp_path / "m" / "1").source == "old.h5"


def test_a_model_needs_a_folder_of_its_own(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--model", str(model_file)])

    assert exit_.value.code == 2
    assert "--base-path is required: " in capsys.readouterr().err


def test_inception_v3_by_name_goes_to_the_default_folder(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_saved_model, "BASE_PATH", tmp_path / "default")
    shutil.copy(model_file, tmp_path / "inception_v3.keras")

    assert main(["--model", str(tmp_path / "inception_v3.keras")]) == 0

    assert versions(tmp_path / "default") == [1]


def test_what_comes_next_is_printed_or_done(
    model_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = '[models.first]\nbase_path = "first"\n'
    (tmp_path / "models.toml").write_text(before, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", str(model_file), "--base-path", str(tmp_path / "fruit")]
    lines = '[models.fruit]\nbase_path = "fruit"\n'

    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"add these lines:\n\n{lines}" in said
    assert said.endswith("http://127.0.0.1:5000/models/fruit/predict\n")
    assert main([*arguments, "--add"]) == 0

    assert (tmp_path / "models.toml").read_text(encoding="utf-8") == f"{before}\n{lines}"
    assert f"added to {tmp_path / 'models.toml'}" in capsys.readouterr().out


def test_the_commands_of_the_manual_work(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.toml").write_text('[models.a]\nbase_path = "a"\n', encoding="utf-8")
    (tmp_path / "flowers.txt").write_text("daisy\nrose\niris\nlily\n", encoding="utf-8")
    shutil.copy(model_file, "flowers.keras")
    text = "import keras\nclass Twice(keras.layers.Layer):\n    def call(self, x): return 2 * x\n"
    (tmp_path / "my_layers.py").write_text(text, encoding="utf-8")
    twice = custom_objects(tmp_path / "my_layers.py", FileConfig(config={}))["Twice"]
    keras.Sequential([classifier(), twice()]).save("net.keras")

    commands = manual_commands("flowers.keras", "net.keras")

    assert [main(command) for command in commands] == [0, 0]
    assert spec_in(tmp_path / "flowers" / "1").labels[1] == ("1", "rose")
    assert "[models.flowers]" in (tmp_path / "models.toml").read_text(encoding="utf-8")
    assert versions(tmp_path / "net") == [1]


def test_a_variable_that_belongs_to_no_layer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    custom, file = tmp_path / "times.py", tmp_path / "times.keras"
    custom.write_text(
        "import keras, tensorflow as tf\n"
        "FACTOR = tf.Variable(2.0)\n"
        "class Times(keras.layers.Layer):\n"
        "    def call(self, x): return x * FACTOR\n",
        encoding="utf-8",
    )
    times = custom_objects(custom, FileConfig(config={}))["Times"]
    keras.Sequential([classifier(), times()]).save(file)

    code = main(
        ["--model", str(file), "--base-path", str(tmp_path / "m")]
        + ["--custom", str(custom), "--trust"]
    )

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("TensorFlow cannot export the model: ")
    assert said.count("\n") == 1


def test_another_model_replaces_a_version_only_if_told_to(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(model_file), "--base-path", str(tmp_path)]
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n", encoding="utf-8")
    labels = ["--labels", str(tmp_path / "labels.txt")]

    codes = [main(arguments), main([*arguments, *labels]), main([*arguments, *labels, "--replace"])]

    assert codes == [0, 1, 0]
    assert "is another model: its label 0 is '0'" in capsys.readouterr().err
    assert versions(tmp_path) == [1, 2]


def test_every_option_reaches_the_spec(model_file: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\n", encoding="utf-8")
    options = {
        "--model": str(model_file),
        "--base-path": str(tmp_path),
        "--labels": str(labels),
        "--size": "6x5",
        "--color": "rgb",
        "--interpolation": "lanczos",
        "--fit": "pad",
        "--scale": "torch",
        "--activation": "sigmoid",
        "--name": "fruit",
        "--source": "the market",
    }

    code = main([*(word for option in options.items() for word in option), "--untrained"])

    spec = spec_in(tmp_path / "1")
    assert code == 0
    assert (spec.images.interpolation, spec.images.fit, spec.images.scale) == (
        "lanczos",
        "pad",
        "torch",
    )
    assert (spec.output.activation, spec.labels[2]) == ("sigmoid", ("2", "c"))
    assert (spec.name, spec.source, spec.trained) == ("fruit", "the market", False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.pb", b"", "is no frozen graph and no TensorFlow Lite file"),
        ("model.pt", b"-", "allowed are .keras and .h5 files"),
        ("missing.keras", None, "There is no model file"),
        ("text.keras", b"hello", "allowed are .keras and .h5 files"),
        ("empty.h5", b"", "is empty"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n", "is damaged, perhaps cut short"),
    ],
)
def test_an_unusable_file_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    code = main(["--model", str(tmp_path / name), "--base-path", str(tmp_path / "m")])

    said = capsys.readouterr().err
    assert code == 1
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("option", [["--size", "299"], ["--scale", "half"], ["--colour", "rgb"]])
def test_misuse_ends_with_two(option: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(option)

    assert exit_.value.code == 2


def test_a_base_path_that_is_a_file_is_one_line(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base_path = tmp_path / "file"
    base_path.touch()

    code = main(["--model", str(model_file), "--base-path", str(base_path)])

    assert code == 1
    assert str(base_path) in capsys.readouterr().err


def test_a_failing_export_leaves_no_trace(spec: ModelSpec, tmp_path: Path) -> None:
    wrong_channels = classifier(channels=1)

    with pytest.raises(ValueError, match="channel|shape|axis"):
        export(wrong_channels, tmp_path, spec)

    assert list(tmp_path.iterdir()) == []


def test_exports_at_once_get_a_version_each(spec: ModelSpec, tmp_path: Path) -> None:
    models = [classifier() for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda model: export(model, tmp_path, spec), models))

    assert sorted(folder.name for folder in folders) == ["1", "2", "3"]
    assert versions(tmp_path) == [1, 2, 3]
    assert all(spec_in(folder).name == "fruit" for folder in folders)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_refused_model_is_one_line_for_the_process_too(tmp_path: Path) -> None:
    import keras

    file = tmp_path / "numbers.keras"
    keras.Sequential([keras.Input((7,)), keras.layers.Dense(4)]).save(file)
    script = ROOT / "scripts" / "export_saved_model.py"

    done = subprocess.run(
        [sys.executable, script, "--model", file, "--base-path", tmp_path / "m"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == (
        "The model's input has the shape (None, 7); allowed are images, (None, height, width, "
        "channels) with 1, 3 or 4 channels, also channels first or without channels, or (None, "
        "pixels) with --size HxW.\n"
    )


@pytest.fixture(scope="module")
def imagenet(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of a real classifier, exported by the command."""
    file = SHARED / "models" / "imagenet_mobilenet.keras"
    if not file.is_file():
        pytest.skip("../shared/models/imagenet_mobilenet.keras is not here")
    base_path = tmp_path_factory.mktemp("imagenet")
    assert main(["--model", str(file), "--base-path", str(base_path), "--scale", "tf"]) == 0
    return base_path / "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("photograph", "label"),
    [
        ("car.png", "sports_car"),
        ("cat_720p.jpg", "tabby"),
        ("parrot.jpg", "macaw"),
        ("hot_dog.jpg", "hotdog"),
    ],
)
def test_a_photograph_straight_to_serving_equals_keras(
    imagenet: Path, photograph: str, label: str
) -> None:
    import tensorflow as tf

    data = (SHARED / "images" / photograph).read_bytes()
    signatures = tf.saved_model.load(str(imagenet)).signatures

    scores = signatures["image"](image_bytes=tf.constant([data]))["scores"].numpy()[0]

    floats = tf.constant(seen_by_keras(data) / np.float32(127.5) - 1)
    expected = signatures["serving_default"](input_image=floats)["scores"].numpy()[0]
    assert np.abs(scores - expected).max() < 0.05
    assert spec_in(imagenet).labels[scores.argmax()][1] == label


def seen_by_keras(data: bytes) -> NDArray[np.float32]:
    """Return the picture as load_img has it, transparent parts on white."""
    import keras

    with Image.open(io.BytesIO(data)) as image:
        rgba = image.convert("RGBA")
    opaque = io.BytesIO()
    Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).save(opaque, "PNG")
    image = keras.utils.load_img(opaque, target_size=(192, 192), interpolation="bilinear")
    pixels: NDArray[np.float32] = keras.utils.img_to_array(image)[np.newaxis]
    return pixels
