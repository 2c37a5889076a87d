"""SavedModels of others as they are: TensorFlow writes them, the real pair of servers answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.flask_server.conftest import flat
from tests.running import model_config, model_server

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

#: What the models file says of each model beside its folder.
TABLES = {
    "cloud": 'constant_inputs = { key = "0" }\noutput = "scores"',
    "scalar": "",
    "text": 'string_input = "base64"\noutput = "shares"\nactivation = "sigmoid"',
    "heated": 'signature = "score"\noutput = "probabilities"\nconstant_inputs = { heat = 0.5 }',
    "counted": 'output = "counts"\nactivation = "none"',
}


def write_models(folder: Path) -> None:
    """Write one SavedModel per kind of call; all know dark, middle and light images."""
    from scripts import quiet_tensorflow

    quiet_tensorflow.start()
    import tensorflow as tf

    strings, scalar = tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.string)
    floats = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    levels = tf.TensorSpec([None, 8, 8, 3], tf.uint8)
    for name, function, specs, signature in (
        ("cloud", cloud, (strings, strings), "serving_default"),
        ("scalar", one, (scalar,), "serving_default"),
        ("text", text, (strings,), "serving_default"),
        ("heated", heated, (floats, tf.TensorSpec([], tf.float32)), "score"),
        ("counted", counted, (levels,), "serving_default"),
    ):
        module = tf.Module()
        module.function = tf.function(function, input_signature=specs, autograph=False)
        path = str(folder / name / "1")
        tf.saved_model.save(module, path, signatures={signature: module.function})


def cloud(image_bytes: Any, key: Any) -> Any:
    import tensorflow as tf

    labels = tf.tile([["dark", "middle", "light"]], [tf.shape(key)[0], 1])
    return {"scores": of_files(image_bytes), "labels": labels, "key": key}


def one(image: Any) -> Any:
    import tensorflow as tf

    return {"half": tf.cast(scores(tf.io.decode_png(image, channels=3)), tf.float16)}


def text(image: Any) -> Any:
    import tensorflow as tf

    return {"shares": tf.cast(255 * of_files(tf.io.decode_base64(image)), tf.uint8)}


def heated(image: Any, heat: Any) -> Any:
    import tensorflow as tf

    logits = tf.math.log(scores(255.0 * image) + 1e-3) / heat
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def counted(image: Any) -> Any:
    import tensorflow as tf

    counts = tf.cast(100 * scores(image), tf.int32)
    return {"counts": counts, "best": tf.argmax(counts, axis=-1)}


def scores(levels: Any) -> Any:
    import tensorflow as tf

    light = tf.reduce_mean(tf.cast(levels, tf.float32), axis=[-3, -2, -1]) / 255.0
    return tf.stack([1 - light, 0.25 + 0 * light, light], axis=-1)


def of_files(files: Any) -> Any:
    import tensorflow as tf

    decode = partial(tf.io.decode_png, channels=3)
    return scores(tf.map_fn(decode, files, fn_output_signature=tf.uint8))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("foreign")
    write_models(folder)
    (folder / "labels.txt").write_text("dark\nmiddle\nlight\n")
    told = 'input = { height = 8, width = 8, scale = "unit" }\nlabels = "labels.txt"'
    models = folder / "models.toml"
    models.write_text(
        "\n".join(
            f'[models.{name}]\nbase_path = "{name}"\n{told}\n{keys}'
            for name, keys in TABLES.items()
        )
    )
    with model_server(model_config({name: folder / name for name in TABLES}), folder) as url:
        app = create_app(Settings(serving_url=url, models_file=models, deadline_s=60))
        yield app.test_client()
        close_app(app)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("color", "label"), [("white", "light"), ("black", "dark")])
def test_the_scores_of_the_model_are_answered(
    client: FlaskClient, name: str, color: str, label: str
) -> None:
    answer: Any = client.post(f"/models/{name}/predict", data=flat(color)).json

    best, *rest = answer["predictions"]
    assert best["label"] == label, answer
    assert 0.5 < best["score"] <= 1.0
    assert [p["label"] for p in rest] == ["middle", "dark" if label == "light" else "light"]


def test_uint8_scores_are_shares_of_255(client: FlaskClient) -> None:
    answer: Any = client.post("/models/text/predict", data=flat("white")).json

    assert [p["score"] for p in answer["predictions"]] == pytest.approx([1, 63 / 255, 0])


@pytest.mark.parametrize("name", ["cloud", "scalar"])
def test_several_images_get_their_own_scores(client: FlaskClient, name: str) -> None:
    images = {"image": [(flat_file(color), f"{color}.png") for color in ("white", "black")]}

    answer: Any = client.post(f"/models/{name}/predict", data=images).json

    labels = [result["predictions"][0]["label"] for result in answer["results"]]
    assert labels == ["light", "dark"]


def flat_file(color: str) -> io.BytesIO:
    return io.BytesIO(flat(color))
