"""Real pictures through gateway and model server; the scores are compared with Keras."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image

from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from tests.exporting import verified_here
from tests.running import ROOT, SHARED, both

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

IMAGES = ROOT / "test_images"
PHOTOS = ("cat.jpg", "coffee.jpg", "rocket.jpg", "clock.png")
TOLERANCE = 1e-4

Predictions = list[dict[str, Any]]


def variants(photo: bytes) -> dict[str, bytes]:
    """The photo in several formats and sizes; Keras reads the same files."""
    with Image.open(io.BytesIO(photo)) as image:
        rgb = image.convert("RGB")
    return {
        "as it is": photo,
        "png, smaller": saved(rgb.resize((200, 133)), "PNG"),
        "jpeg, larger": saved(rgb.resize((1400, 1000)), "JPEG", quality=92),
        "progressive": saved(rgb, "JPEG", progressive=True),
        "cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "webp": saved(rgb, "WEBP"),
        "bmp": saved(rgb, "BMP"),
        "gif": saved(rgb.resize((150, 150)), "GIF"),
        "grey": saved(rgb.convert("L"), "PNG"),
    }


def saved(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def keras_pixels(data: bytes, spec: InputSpec) -> NDArray[np.float32]:
    """The picture as Keras loads it."""
    import keras

    image = keras.utils.load_img(
        io.BytesIO(data),
        color_mode=spec.color,
        target_size=(spec.height, spec.width),
        interpolation=spec.interpolation,
    )
    return np.asarray(keras.utils.img_to_array(image), np.float32)


def ask(client: FlaskClient, model: str, data: bytes, top_k: int) -> Predictions:
    response = client.post(f"/models/{model}/predict?top_k={top_k}", data=data)
    assert response.status_code == 200, response.text
    assert response.json is not None
    predictions: Predictions = response.json["predictions"]
    return predictions


def assert_same(predictions: Predictions, scores: NDArray[np.float32], spec: ModelSpec) -> None:
    """The labels belong to their scores, best first, and the scores are Keras's own."""
    index = {class_id: i for i, (class_id, _) in enumerate(spec.labels)}
    mine = [p["score"] for p in predictions]
    assert [p["label"] for p in predictions] == [
        spec.labels[index[p["class_id"]]][1] for p in predictions
    ]
    assert mine == sorted(mine, reverse=True)
    assert np.allclose(mine, np.sort(scores)[::-1][: len(mine)], atol=TOLERANCE)
    assert np.allclose(mine, [scores[index[p["class_id"]]] for p in predictions], atol=TOLERANCE)


def calibrated_inception() -> Any:
    """A seeded InceptionV3 with batch norms fitted to photos, so that answers differ."""
    import keras

    keras.utils.set_random_seed(20261120)
    model = keras.applications.InceptionV3(weights=None)
    batch_norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in batch_norms:
        layer.momentum = 0.0
    view = InputSpec(height=299, width=299)
    pictures = [keras_pixels((IMAGES / name).read_bytes(), view) / 127.5 - 1 for name in PHOTOS]
    model(np.stack(pictures), training=True)
    last = model.layers[-1]
    last.set_weights([last.get_weights()[0] * 20, last.get_weights()[1]])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with verified_here():
        yield tmp_path_factory.mktemp("end-to-end")


@pytest.fixture(scope="module")
def inception(folder: Path) -> Any:
    """The Keras model; exported as version 1 of ``inception``."""
    from scripts.export_saved_model import export

    model = calibrated_inception()
    export(model, folder / "inception", inception_spec())
    return model


def inception_spec() -> ModelSpec:
    return ModelSpec(
        name="inception",
        input=InputSpec(height=299, width=299),
        output=OutputSpec(classes=1000),
        labels=imagenet_labels(),
    )


@pytest.fixture(scope="module")
def client(inception: Any, folder: Path) -> Iterator[FlaskClient]:
    models = {"inception": folder / "inception", "digits": ROOT / "my_digit_classifier"}
    with both(models, folder) as client:
        yield client


@pytest.mark.parametrize("photo", PHOTOS)
def test_inception_equals_keras(client: FlaskClient, inception: Any, photo: str) -> None:
    spec = inception_spec()
    pictures = variants((IMAGES / photo).read_bytes())
    pixels = np.stack([keras_pixels(data, spec.images) for data in pictures.values()])

    expected = inception.predict(pixels / 127.5 - 1, verbose=0)

    assert expected.max() > 0.01, "scores that are all alike could not tell a mistake"
    for data, scores in zip(pictures.values(), expected, strict=True):
        assert_same(ask(client, "inception", data, 20), scores, spec)


def test_calibrated_answers_differ_between_pictures(client: FlaskClient) -> None:
    best = {
        ask(client, "inception", (IMAGES / name).read_bytes(), 1)[0]["class_id"] for name in PHOTOS
    }

    assert len(best) > 1


def digits_in_keras(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of the committed SavedModel, run without a server."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(ROOT / "my_digit_classifier" / "1"))
    scaled = tf.constant(pixels / 255, tf.float32)
    scores: NDArray[np.float32] = loaded.signatures["serving_default"](scaled)["scores"].numpy()
    return scores


def test_digits_equal_keras_preprocessing(client: FlaskClient) -> None:
    spec = ModelSpec.from_json(
        (ROOT / "my_digit_classifier/1/assets.extra/model_spec.json").read_bytes()
    )
    pictures = [
        data
        for digit in (3, 5, 8)
        for data in variants((IMAGES / f"digit_{digit}.png").read_bytes()).values()
    ]
    assert spec.images.scale == "unit"
    pixels = np.stack([keras_pixels(data, spec.images) for data in pictures])

    expected = digits_in_keras(pixels)

    for data, scores in zip(pictures, expected, strict=True):
        assert_same(ask(client, "digits", data, 10), scores, spec)


@pytest.mark.parametrize("digit", range(10))
def test_drawn_digits_are_read(client: FlaskClient, digit: int) -> None:
    data = (IMAGES / f"digit_{digit}.png").read_bytes()

    assert ask(client, "digits", data, 1)[0]["label"] == str(digit)


def test_held_out_digits_over_http(client: FlaskClient) -> None:
    """At least 97 % are right over pictures that were not used for training."""
    from scripts.digit_pictures import held_out

    unseen = held_out()
    assert len(unseen.pictures) >= 300
    pngs = [saved(Image.fromarray(np.squeeze(picture)), "PNG") for picture in unseen.pictures]

    read: list[int] = []
    for start in range(0, len(pngs), 32):
        files = [(io.BytesIO(png), "digit.png") for png in pngs[start : start + 32]]
        response = client.post("/models/digits/predict", data={"image": files, "top_k": "1"})
        assert response.json is not None
        read += [int(r["predictions"][0]["label"]) for r in response.json["results"]]

    right = np.mean(np.array(read) == np.array(unseen.digits))
    assert right >= 0.97


@pytest.mark.skipif(
    not (SHARED / "models").is_dir(), reason="needs the ImageNet model in ../shared"
)
def test_true_imagenet_answers(folder: Path) -> None:
    from scripts import export_saved_model

    base, place = folder / "imagenet", folder / "imagenet-servers"
    place.mkdir()
    model = str(SHARED / "models" / "imagenet_mobilenet.keras")
    arguments = ["--model", model, "--base-path", str(base), "--labels", "imagenet"]
    assert export_saved_model.main([*arguments, "--scale", "tf"]) == 0

    with both({"ImageClassifier": base}, place) as client:
        best = {
            name: [p["label"] for p in ask(client, "ImageClassifier", photo(name), 3)]
            for name in ("car.png", "cat_720p.jpg", "parrot.jpg", "hot_dog.jpg")
        }

    assert best["car.png"][0] == "sports_car"
    assert set(best["cat_720p.jpg"]) == {"tabby", "Egyptian_cat", "tiger_cat"}
    assert best["parrot.jpg"][0] == "macaw"
    assert best["hot_dog.jpg"][0] == "hotdog"


def photo(name: str) -> bytes:
    return (SHARED / "images" / name).read_bytes()
