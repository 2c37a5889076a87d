"""The networks of keras.applications by name; their specs are those of Keras."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from flask_server.imaging.preprocessing import scale
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from scripts import download_model, export_saved_model, keras_models
from scripts.applications import FAMILIES, SCALE_BY_NAME, SIDES, Family
from scripts.download_model import main
from scripts.imagenet_weights import WeightsFile, is_cached

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]

#: Networks of any size; of all others, Keras says which size the weights belong to.
ANY_SIZE = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")


def test_all_networks_are_there(tensorflow: None) -> None:
    import keras

    assert set(SIDES) == {name for name in dir(keras.applications) if name[0].isupper()}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.module)
def test_the_scaling_is_that_of_keras(tensorflow: None, family: Family) -> None:
    import keras

    levels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    module = getattr(keras.applications, family.module)
    expected = module.preprocess_input(levels.astype(np.float32))

    np.testing.assert_allclose(scale(levels, family.scale), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(SIDES) - set(ANY_SIZE)))
def test_the_size_is_that_of_keras(tensorflow: None, name: str) -> None:
    import keras

    with pytest.raises(ValueError, match=rf"\({SIDES[name]}, {SIDES[name]}, 3\)"):
        getattr(keras.applications, name)(weights="imagenet", input_shape=(100, 100, 3))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.module)
def test_the_name_of_a_network_tells_its_scaling(family: Family) -> None:
    found = {
        next((s for prefix, s in SCALE_BY_NAME.items() if name.startswith(prefix)), None)
        for name in map(download_model.file_name, family.sides)
    }

    if family.scale == "none":  # known by its layers, which come first
        assert found == ({"tf"} if family.module == "mobilenet_v3" else {None})
    else:
        assert found == {family.scale}


@pytest.mark.parametrize("name", ["EfficientNetB0", "ConvNeXtTiny", "MobileNetV3Small"])
def test_networks_that_scale_pixels_are_known_by_their_layers(tensorflow: None, name: str) -> None:
    import keras

    network = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )

    assert keras_models.scale_of(network).value == "none"


def test_a_small_network_is_served_by_both_engines(tensorflow: None, tmp_path: Path) -> None:
    import keras

    file, base_path = tmp_path / "small.keras", tmp_path / "small"

    assert main(["--arch", "MobileNetV3Small", "--weights", "none", "--output", str(file)]) == 0
    arguments = ["--model", str(file), "--base-path", str(base_path)]
    assert export_saved_model.main(arguments) == 0

    version = base_path / "1"
    spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    assert spec.images == InputSpec(height=224, width=224, scale="none")
    assert not spec.trained
    levels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    pixels = {"pixels": np.array([image.tobytes() for image in levels], dtype=object)}
    expected = keras.saving.load_model(file)(levels.astype(np.float32)).numpy()
    for engine in (TensorFlowEngine(TensorFlowOptions()), OpenVINOEngine(OpenVINOOptions())):
        model = engine.load(version)
        scores = model.run("pixels", pixels)["scores"]
        model.close()
        np.testing.assert_allclose(scores, expected, atol=1e-5)


# Weights that cannot be had


def test_offline_ends_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.h5"
        arguments = ["--arch", "VGG16", "--weights-url", url, "--output", str(tmp_path / "m.keras")]

        assert main(arguments) == 1

    said = capsys.readouterr().err
    assert f"could not be downloaded from {url} (Connection refused)" in said
    assert "--weights none" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "arch"),
    [
        ("weights_mobilenet_v3_small_224_1.0_float.h5", "MobileNetV3Small"),
        ("NASNet-mobile.h5", "NASNetMobile"),
        ("efficientnetv2-b0.h5", "EfficientNetV2B0"),
        ("resnet50v2_weights_tf_dim_ordering_tf_kernels.h5", "ResNet50V2"),
    ],
)
def test_weights_in_the_cache_of_keras_need_no_internet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, arch: str
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert not is_cached(arch)

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file).touch()

    assert is_cached(arch)
    assert not is_cached("VGG16")


def test_another_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--arch", "AlexNet"])

    assert "invalid choice: 'AlexNet'" in capsys.readouterr().err


def test_inception_v3_has_its_checksum() -> None:
    assert WeightsFile().md5
    assert WeightsFile().folder.endswith("/keras-applications/inception_v3")
