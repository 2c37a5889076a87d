"""SavedModels of others as they are: TensorFlow writes them, the real pair of servers answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.flask_server.conftest import draw, flat, saved
from tests.running import free_port, model_config, model_server

pytestmark = pytest.mark.tensorflow

NPY = "application/x-npy"

#: What the models file says of each model beside its folder.
TABLES = {
    "cloud": 'constant_inputs = { key = "0" }\noutput = "scores"',
    "scalar": "",
    "text": 'string_input = "base64"\noutput = "shares"\nactivation = "sigmoid"',
    "heated": 'signature = "score"\noutput = "probabilities"\nconstant_inputs = { heat = 0.5 }',
    "counted": 'output = "counts"\nactivation = "none"',
}

#: The same of models with other tasks, or that take image files as they are.
TASKS = {
    "vector": 'task = "embedding"\ninput = { height = 8, width = 8, scale = "unit" }',
    "streets": 'task = "segmentation"\ninput = { height = 8, width = 8, scale = "none" }',
    "pair": 'task = "tensor"\nconstant_inputs = { factor = 3.0 }',
    "files": 'labels = "labels.txt"',
}

#: The same of models that return their best classes themselves.
TOP_K = {
    "ranked": "",
    "indexed": 'labels = "labels.txt"',
    "binary": "",
    "single": 'classes = "names"\noutput = "odds"',
}


def write_models(folder: Path) -> None:
    """Write one SavedModel per kind of call; all know dark, middle and light images."""
    from scripts import quiet_tensorflow

    quiet_tensorflow.start()
    import tensorflow as tf

    strings, scalar = tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.string)
    floats = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    levels = tf.TensorSpec([None, 8, 8, 3], tf.uint8)
    numbers = tf.TensorSpec([None, 2], tf.float32)
    for name, function, specs, signature in (
        ("cloud", cloud, (strings, strings), "serving_default"),
        ("scalar", one, (scalar,), "serving_default"),
        ("text", text, (strings,), "serving_default"),
        ("heated", heated, (floats, tf.TensorSpec([], tf.float32)), "score"),
        ("counted", counted, (levels,), "serving_default"),
        ("vector", vector, (floats,), "serving_default"),
        ("streets", streets, (levels,), "serving_default"),
        ("pair", pair, (numbers, tf.TensorSpec([], tf.float32)), "serving_default"),
        ("files", files, (strings,), "serving_default"),
        ("ranked", ranked, (floats,), "serving_default"),
        ("indexed", indexed, (floats,), "serving_default"),
        ("binary", binary, (strings,), "serving_default"),
        ("single", single, (scalar,), "serving_default"),
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


def ranked(image: Any) -> Any:
    """Return two of three classes by name, as models of TF Hub do."""
    import tensorflow as tf

    values, indices = tf.math.top_k(scores(255.0 * image), 2)
    return {"classes": tf.gather(["dark", "middle", "light"], indices), "scores": values}


def indexed(image: Any) -> Any:
    import tensorflow as tf

    values, indices = tf.math.top_k(scores(255.0 * image), 2)
    return {"values": values, "indices": indices}


def binary(image: Any) -> Any:
    """Return names as bytes, all of them in the order of the classes."""
    import tensorflow as tf

    names = tf.tile([["dark", "middle", "light"]], [tf.shape(image)[0], 1])
    return {"labels_bytes": names, "probabilities": of_files(image)}


def single(image: Any) -> Any:
    """Return one class of one image, without a dimension for images."""
    import tensorflow as tf

    values, indices = tf.math.top_k(scores(tf.io.decode_png(image, channels=3)), 1)
    return {"names": tf.gather(["dark", "middle", "light"], indices), "odds": values}


def counted(image: Any) -> Any:
    import tensorflow as tf

    counts = tf.cast(100 * scores(image), tf.int32)
    return {"counts": counts, "best": tf.argmax(counts, axis=-1)}


def vector(image: Any) -> Any:
    import tensorflow as tf

    return {"mean": tf.reduce_mean(image, axis=[1, 2])}


def streets(image: Any) -> Any:
    import tensorflow as tf

    light = tf.reduce_mean(tf.cast(image, tf.float32), axis=-1, keepdims=True) / 255.0
    return {"classes": tf.concat([1 - light, light], axis=-1)}


def pair(x: Any, factor: Any) -> Any:
    import tensorflow as tf

    return {"times": x * factor, "whole": tf.cast(x, tf.int64)}


def files(image: Any) -> Any:
    return {"scores": of_files(image)}


def scores(levels: Any) -> Any:
    import tensorflow as tf

    light = tf.reduce_mean(tf.cast(levels, tf.float32), axis=[-3, -2, -1]) / 255.0
    return tf.stack([1 - light, 0.25 + 0 * light, light], axis=-1)


def of_files(files: Any) -> Any:
    import tensorflow as tf

    decode = partial(tf.io.decode_png, channels=3)
    return scores(tf.map_fn(decode, files, fn_output_signature=tf.uint8))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, FlaskClient]]:
    """Gateways in front of one model server, by the protocol between them."""
    folder = tmp_path_factory.mktemp("foreign")
    write_models(folder)
    (folder / "labels.txt").write_text("dark\nmiddle\nlight\n")
    view = 'input = { height = 8, width = 8, scale = "unit" }'
    told = f'{view}\nlabels = "labels.txt"'
    tables = {name: f"{told}\n{keys}" for name, keys in TABLES.items()}
    tables |= TASKS | {name: f"{view}\n{keys}" for name, keys in TOP_K.items()}
    models = folder / "models.toml"
    models.write_text(
        "".join(
            f'[models.{name}]\nbase_path = "{name}"\n{keys}\n\n' for name, keys in tables.items()
        )
    )
    port = free_port()
    config = model_config({name: folder / name for name in tables})
    with model_server(config, folder, port) as url, ExitStack() as apps:
        found = {}
        for protocol, address in (("rest", url), ("grpc", f"grpc://127.0.0.1:{port}")):
            app = create_app(Settings(serving_url=address, models_file=models, deadline_s=60))
            apps.callback(close_app, app)
            found[protocol] = app.test_client()
        yield found


@pytest.fixture(scope="module")
def client(clients: dict[str, FlaskClient]) -> FlaskClient:
    return clients["rest"]


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize(
    ("name", "ids", "labels"),
    [
        ("ranked", ["light", "middle"], ["light", "middle"]),
        ("indexed", ["2", "1"], ["light", "middle"]),
        ("binary", ["light", "middle", "dark"], ["light", "middle", "dark"]),
        ("single", ["light"], ["light"]),
    ],
)
def test_the_best_classes_that_a_model_returns_are_answered(
    clients: dict[str, FlaskClient], protocol: str, name: str, ids: list[str], labels: list[str]
) -> None:
    client = clients[protocol]

    answer: Any = client.post(f"/models/{name}/predict", data=flat("white")).json
    described: Any = client.get(f"/models/{name}").json

    assert [p["class_id"] for p in answer["predictions"]] == ids, answer
    assert [p["label"] for p in answer["predictions"]] == labels
    scores = [p["score"] for p in answer["predictions"]]
    assert scores == pytest.approx([1, 0.25, 0][: len(ids)])
    assert described["output"]["top_k"] == len(ids)


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


def npy(values: Any, dtype: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype))
    return file.getvalue()


def read_npy(response: Any) -> Any:
    assert response.mimetype == NPY, response.text
    return np.load(io.BytesIO(response.data))


def test_an_embedding_of_an_image_and_of_a_tensor(client: FlaskClient) -> None:
    of_image: Any = client.post("/models/vector/predict", data=flat((255, 0, 51))).json
    tensor = npy(np.full((1, 8, 8, 3), (0.6, 0.8, 0)), np.float32)
    of_tensor = client.post(
        "/models/vector/predict?normalize=1", data=tensor, headers={"Accept": NPY}
    )

    assert of_image["embedding"] == pytest.approx([1, 0, 0.2])
    np.testing.assert_allclose(read_npy(of_tensor), [[0.6, 0.8, 0]], atol=1e-6)


def test_a_segmentation_of_an_image(client: FlaskClient) -> None:
    picture = Image.new("RGB", (32, 16))
    picture.paste((255, 255, 255), (0, 0, 8, 16))
    file = saved(picture, "PNG")

    areas: Any = client.post("/models/streets/predict", data=file).json
    drawn = client.post("/models/streets/predict", data=file, headers={"Accept": "image/png"})

    assert [(a["label"], a["pixels"]) for a in areas["areas"]] == [("0", 384), ("1", 128)]
    classes = np.asarray(Image.open(io.BytesIO(drawn.data)))
    assert classes.shape == (16, 32)
    assert (classes == (np.arange(32) < 8)).all()


def test_outputs_of_a_model_with_a_constant_input(client: FlaskClient) -> None:
    answer: Any = client.post("/models/pair/predict", json={"tensor": [[1, 2.5], [3, 4]]}).json
    whole = client.post(
        "/models/pair/predict?output=whole",
        data=npy([1, 2.5], np.float64),
        headers={"Accept": NPY},
    )

    assert [result["outputs"] for result in answer["results"]] == [
        {"times": [3, 7.5], "whole": [1, 2]},
        {"times": [9, 12], "whole": [3, 4]},
    ]
    assert read_npy(whole).tolist() == [1, 2]


def test_a_model_that_decodes_files_gets_the_file(client: FlaskClient) -> None:
    answer: Any = client.post("/models/files/predict", data=draw("PNG", (64, 48))).json

    assert {p["label"] for p in answer["predictions"]} == {"dark", "middle", "light"}
