"""Write exports of our own and what TensorFlow makes of them: ``python -m … FOLDER``.

A process of its own, so that the tests of the other engine never import TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from model_catalog.spec import SCALES, InputSpec, ModelSpec, OutputSpec
from model_server.metadata import metadata_body
from model_server.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from scripts import quiet_tensorflow
from scripts.export_saved_model import export

quiet_tensorflow.start()

import keras  # noqa: E402 - after TensorFlow was made quiet
import tensorflow as tf  # noqa: E402

CLASSES = 4
HEIGHT, WIDTH = 12, 9
PICTURES = 5
LABELS = tuple((str(number), f"label {number}") for number in range(CLASSES))


def network(channels: int, seed: int, width: int = 8) -> keras.Model:
    """Return an untrained network with the operations that classifiers are made of."""
    keras.utils.set_random_seed(seed)
    picture = keras.Input((HEIGHT, WIDTH, channels))
    x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(picture)
    x = keras.layers.BatchNormalization(gamma_initializer="uniform")(x)
    x = keras.layers.Activation("relu")(x)
    pooled = keras.layers.AveragePooling2D(3, strides=1, padding="same")(x)
    deep = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([pooled, deep]))
    return keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax")(x))


class StrangeLayer(keras.layers.Layer):
    """An operation that OpenVINO does not know."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.lgamma(inputs + 2.0)


def strange(channels: int) -> keras.Model:
    picture = keras.Input((HEIGHT, WIDTH, channels))
    x = keras.layers.GlobalAveragePooling2D()(StrangeLayer()(picture))
    return keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax")(x))


def spec(scale: str, color: str = "rgb") -> ModelSpec:
    return ModelSpec(
        name=scale,
        input=InputSpec(height=HEIGHT, width=WIDTH, color=color, scale=scale),
        output=OutputSpec(classes=CLASSES),
        labels=LABELS,
    )


def write_expected(version: Path, channels: int) -> None:
    """Ask TensorFlow, and write question and answer beside the base path."""
    random = np.random.default_rng(7)
    floats = random.normal(size=(PICTURES, HEIGHT, WIDTH, channels)).astype(np.float32)
    levels = random.integers(0, 256, floats.shape, dtype=np.uint8)
    model = TensorFlowEngine(TensorFlowOptions()).load(version)
    strings = np.array([picture.tobytes() for picture in levels], dtype=object)
    np.savez(
        version.parent / "expected.npz",
        floats=floats,
        levels=levels,
        from_floats=model.run("serving_default", {"input_image": floats})["scores"],
        from_levels=model.run("pixels", {"pixels": strings})["scores"],
        spec=model.run("describe", {"query": strings[:2]})["spec"].astype("S"),
    )
    (version.parent / "metadata.json").write_bytes(metadata_body("m", 1, model.signatures))


def main(root: Path) -> None:
    """Write all exports."""
    for seed, scale in enumerate(SCALES):
        write_expected(export(network(3, seed), root / scale, spec(scale)), 3)
    write_expected(export(network(1, 9), root / "grey", spec("unit", "grayscale")), 1)
    export(network(3, 10), root / "replacement", spec("tf"))
    write_expected(export(strange(3), root / "strange", spec("tf")), 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
