"""Write model files with tf_keras, and beside each the scores for one batch of noise.

It is for a process of ``tf_keras_process``, since tf_keras and Keras 3 share names in TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Height and width of the pictures of most models.
SIDE = 8


def noise(*shape: int) -> NDArray[np.float32]:
    """Two pictures of that shape."""
    return np.random.default_rng(0).random((2, *shape), np.float32)


def main(folder: Path) -> None:
    """Write the files; the process then knows as little of them as any other one."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    for name, make in MODELS.items():
        for suffix in (".h5", ".keras"):
            file = folder / f"{name}{suffix}"
            if file.name in SKIPPED:
                continue
            model = make(tf_keras)
            model.save(file)
            write_scores(model, file)
    teachable_machine(tf_keras).save(folder / "model.savedmodel", save_format="tf")
    write_as_keras1(folder / "plain.h5", folder / "keras1.h5")
    tf_keras.backend.clear_session()
    tf_keras.saving.get_custom_objects().clear()


def write_scores(model: Any, file: Path) -> None:
    scores = model(noise(*model.inputs[0].shape[1:]), training=False)
    first = next(iter(scores.values())) if isinstance(scores, Mapping) else scores
    first = first[0] if isinstance(first, list) else first
    file.with_name(f"{file.name}.json").write_text(json.dumps(np.asarray(first).tolist()))


def teachable_machine(keras: Any) -> Any:
    """Return a model nested as those of Teachable Machine, with its kinds of layers."""
    layers = keras.layers
    picture = layers.Input((224, 224, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(picture)
    x = layers.Conv2D(4, 3, strides=4, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    backbone = keras.Sequential(
        [keras.Model(picture, x, name="model1"), layers.GlobalAveragePooling2D()]
    )
    head = keras.Sequential([layers.Dense(6, "relu"), layers.Dense(2, "softmax", use_bias=False)])
    model = keras.Sequential([backbone, head], name="sequential_4")
    model.build((None, 224, 224, 3))
    return model


def separable(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.SeparableConv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
            layers.Activation("softmax"),
        ]
    )


def operations(keras: Any) -> Any:
    """Scaling and softmax as operations of TensorFlow, which become TFOpLambda."""
    import tensorflow as tf

    picture = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Flatten()(tf.cast(picture, tf.float32) / 127.5 - 1.0)
    return keras.Model(picture, tf.nn.softmax(keras.layers.Dense(3)(x)))


def caffe(keras: Any) -> Any:
    picture = keras.layers.Input((SIDE, SIDE, 3))
    x = keras.layers.Flatten()(keras.applications.resnet50.preprocess_input(picture))
    return keras.Model(picture, keras.layers.Dense(3, "sigmoid")(x * 0.01))


def augmented(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


def with_lambda(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Lambda(lambda x: x / 255.0),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


def regression(keras: Any) -> Any:
    layers = keras.layers
    model = keras.Sequential([layers.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def two_outputs(keras: Any) -> Any:
    layers = keras.layers
    picture = layers.Input((SIDE, SIDE, 3))
    x = layers.Flatten()(picture)
    kind, age = layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="age")(x)
    return keras.Model(picture, [kind, age])


def dictionary(keras: Any) -> Any:
    layers = keras.layers
    picture = layers.Input((SIDE, SIDE, 3))
    return keras.Model(picture, {"kind": layers.Dense(3, "softmax")(layers.Flatten()(picture))})


def best_of_seven(keras: Any) -> Any:
    import tensorflow as tf

    picture = keras.layers.Input((SIDE, SIDE, 3))
    scores = keras.layers.Dense(7, "softmax")(keras.layers.Flatten()(picture))
    best = tf.math.top_k(scores, 7)
    return keras.Model(picture, [best.values, best.indices])


def mixed_precision(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, dtype="mixed_float16"),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


def custom(keras: Any) -> Any:
    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    Twice.__module__ = "__main__"  # as in the file of somebody who trains a model
    registered = keras.saving.register_keras_serializable()(Twice)
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((SIDE, SIDE, 3)), registered(), layers.Flatten(), layers.Dense(3, "softmax")]
    )


def plain(keras: Any) -> Any:
    """A model whose layers Keras 1 has as well."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, strides=2, padding="same", input_shape=(SIDE, SIDE, 3)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


MODELS: dict[str, Callable[[Any], Any]] = {
    "teachable": teachable_machine,
    "separable": separable,
    "operations": operations,
    "caffe": caffe,
    "augmented": augmented,
    "lambda": with_lambda,
    "regression": regression,
    "two": two_outputs,
    "dictionary": dictionary,
    "best": best_of_seven,
    "mixed": mixed_precision,
    "custom": custom,
    "plain": plain,
}
#: Files that Keras 2 itself cannot write, and those that would test nothing else than their twin.
SKIPPED = {
    "augmented.keras",
    "best.keras",
    "caffe.keras",
    "dictionary.h5",
    "mixed.keras",
    "plain.keras",
    "teachable.keras",
    "two.h5",
}


def write_as_keras1(keras2: Path, keras1: Path) -> None:
    """Copy a file, with the configuration as Keras 1 wrote it."""
    import shutil

    import h5py

    shutil.copy(keras2, keras1)
    shutil.copy(f"{keras2}.json", f"{keras1}.json")
    with h5py.File(keras1, "a") as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        old = [keras1_layer(layer) for layer in layers if layer["class_name"] != "InputLayer"]
        old[0]["config"]["batch_input_shape"] = [None, SIDE, SIDE, 3]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": old})
        for group in (file, file["model_weights"]):
            group.attrs["keras_version"] = "1.2.2"


_KERAS1: dict[str, dict[str, object]] = {
    "Conv2D": {
        "nb_filter": 4,
        "nb_row": 3,
        "nb_col": 3,
        "subsample": [2, 2],
        "border_mode": "same",
        "dim_ordering": "tf",
        "init": "glorot_uniform",
        "bias": True,
        "activation": "linear",
        "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01},
        "input_dtype": "float32",
    },
    "BatchNormalization": {"mode": 0, "axis": -1, "epsilon": 0.001, "beta_init": "zero"},
    "MaxPooling2D": {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid"},
    "Dropout": {"p": 0.5},
    "Flatten": {},
    "Dense": {"output_dim": 3, "activation": "softmax", "input_dim": None, "bias": True},
}


def keras1_layer(layer: dict[str, Any]) -> dict[str, Any]:
    kind = layer["class_name"]
    config = {"name": layer["config"]["name"], "trainable": True} | _KERAS1[kind]
    return {"class_name": "Convolution2D" if kind == "Conv2D" else kind, "config": config}
