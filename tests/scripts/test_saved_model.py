"""Contents of an export: four signatures, the spec and warm-up requests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flask_server.inference.ranking import activated
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts.export_saved_model import export
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.warmup_requests import WARMUP_FILE
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.tensorflow

SIGNATURES = {
    "serving_default": ("input_image", "float32", [None, 6, 5, 3], "scores"),
    "pixels": ("pixels", "string", [None], "scores"),
    "image": ("image_bytes", "string", [None], "scores"),
    "describe": ("query", "string", [None], "spec"),
}


class Session:
    """The SavedModel as TensorFlow Serving loads it: by the graph and its own restore op.

    Loading through TensorFlow's Python objects would also find variables that are not tracked.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.session = tf.compat.v1.Session(graph=tf.Graph())
        graph = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self.signatures = dict(graph.signature_def)
        self.graph = graph.graph_def

    def run(self, signature: str, values: object) -> NDArray[Any]:
        (tensor,) = self.signatures[signature].inputs.values()
        (output,) = self.signatures[signature].outputs.values()
        return np.asarray(self.session.run(output.name, {tensor.name: values}))


@pytest.fixture(scope="module")
def served(exported: Path) -> Iterator[Session]:
    session = Session(exported)
    yield session
    session.session.close()


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)


def preprocessed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    from keras.applications.imagenet_utils import preprocess_input

    return np.asarray(preprocess_input(pictures.astype(np.float32), mode="caffe"))


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signatures_have_fixed_names_types_and_shapes(served: Session, signature: str) -> None:
    import tensorflow as tf

    ((name, tensor),) = served.signatures[signature].inputs.items()
    ((output, _),) = served.signatures[signature].outputs.items()

    shape = tf.TensorShape(tensor.tensor_shape).as_list()
    assert (name, tf.as_dtype(tensor.dtype).name, shape, output) == SIGNATURES[signature]


def test_floats_give_what_keras_gives(
    served: Session, model: keras.Model, pictures: NDArray[np.uint8]
) -> None:
    floats = preprocessed(pictures)

    scores = served.run("serving_default", floats)

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, model.predict(floats, verbose=0), atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_the_score_of_two_classes_is_that_of_the_second(
    tensorflow: None, tmp_path: Path, pictures: NDArray[np.uint8], activation: str | None
) -> None:
    model = classifier(classes=1, activation=activation)
    (tmp_path / "labels").write_text("cat\ndog\n", encoding="utf-8")
    options = SpecOptions(labels=str(tmp_path / "labels"), scale="caffe")
    spec, _ = spec_of(model, options)
    session = Session(export(model, tmp_path / "pets", spec))

    scores = session.run("pixels", [picture.tobytes() for picture in pictures])
    session.session.close()

    dog = classifier(classes=1, activation="sigmoid").predict(preprocessed(pictures), verbose=0)
    expected = np.concatenate([1 - dog, dog], axis=1)
    ranked = [activated(row.astype(float), spec) for row in scores]
    np.testing.assert_allclose(ranked, expected, atol=1e-5)


def test_raw_pixels_equal_preprocessed_floats(served: Session, pictures: NDArray[np.uint8]) -> None:
    scores = served.run("pixels", [picture.tobytes() for picture in pictures])

    floats = served.run("serving_default", preprocessed(pictures))
    np.testing.assert_allclose(scores, floats, atol=1e-6)
    assert np.ptp(scores, axis=0).max() > 0.01, "the pictures do not differ"


@pytest.mark.parametrize("surplus", [-1, 1])
def test_a_wrong_number_of_raw_bytes_is_refused(served: Session, surplus: int) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        served.run("pixels", [bytes(6 * 5 * 3 + surplus)])


def test_two_half_pictures_are_not_one_picture(served: Session) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        served.run("pixels", [bytes(45), bytes(45)])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_a_file_of_the_models_size_equals_its_pixels(served: Session, kind: str) -> None:
    picture = np.arange(90, dtype=np.uint8).reshape(6, 5, 3) * 2
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)

    scores = served.run("image", [file.getvalue()])

    stored = np.asarray(Image.open(file).convert("RGB"))
    np.testing.assert_allclose(scores, served.run("pixels", [stored.tobytes()]), atol=1e-6)


def test_describe_answers_the_spec_once_per_query(
    served: Session, spec: ModelSpec, exported: Path
) -> None:
    answers = served.run("describe", ["", "ignored"])

    described = ModelSpec.from_json(answers[0])
    assert described.labels == spec.labels
    assert [described] * 2 == [ModelSpec.from_json(answer) for answer in answers]
    assert described == ModelSpec.from_json((exported / SPEC_FILE).read_bytes())


def test_the_spec_says_when_it_was_exported(exported: Path) -> None:
    exported_at = ModelSpec.from_json((exported / SPEC_FILE).read_bytes()).exported_at

    assert datetime.fromisoformat(exported_at).utcoffset() is not None


def test_no_python_is_needed_to_serve(served: Session) -> None:
    nodes = [*served.graph.node, *(n for f in served.graph.library.function for n in f.node_def)]

    assert not {node.op for node in nodes} & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def test_warm_up_requests_are_ones_that_the_model_answers(exported: Path, served: Session) -> None:
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(exported / WARMUP_FILE)).as_numpy_iterator()

    requests = [warm_up_request(record) for record in records]
    assert [signature for signature, _, _ in requests] == ["serving_default", "pixels"]
    for signature, name, tensor in requests:
        assert [name] == list(served.signatures[signature].inputs)
        assert served.run(signature, tensor).shape == (1, 4)


def warm_up_request(record: bytes) -> tuple[str, str, NDArray[Any]]:
    """Read a PredictionLog by the field numbers of TensorFlow Serving's public protos."""
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    request = field(field(record, 6), 1)
    model, (key, value) = field(request, 1), (field(field(request, 2), n) for n in (1, 2))
    assert field(model, 1) == b"fruit"
    tensor = tf.make_ndarray(TensorProto.FromString(value))
    return field(model, 3).decode(), key.decode(), tensor


def field(message: bytes, number: int) -> bytes:
    """Return the only length-delimited field of that number in a message of such fields."""
    found, position = [], 0
    while position < len(message):
        tag, position = varint(message, position)
        length, position = varint(message, position)
        if tag == number << 3 | 2:
            found.append(message[position : position + length])
        position += length
    (value,) = found
    return value


def varint(message: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
