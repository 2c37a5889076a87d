"""Write exports of our own and what TensorFlow makes of them: ``python -m … FOLDER [KERAS_FILE]``.

The export of a Keras file is named ``given``.

A process of its own, so that the tests of the other engine never import TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_catalog.spec import SCALES, InputSpec, ModelSpec, OutputSpec
from model_server.engines.export_model import read_spec
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.rest.metadata import metadata_body
from scripts import quiet_tensorflow
from scripts.export_saved_model import export, export_file
from scripts.picture_graph import SCALING
from scripts.spec_of_model import SpecOptions
from tests.exporting import verified_here

quiet_tensorflow.start()

import keras  # noqa: E402 - after TensorFlow was made quiet
import tensorflow as tf  # noqa: E402

CLASSES = 4
PICTURES = 5
LABELS = tuple((str(number), f"label {number}") for number in range(CLASSES))
RGB = (12, 9, 3)
GREY = (12, 9, 1)
BIG = (128, 128, 3)


def spec_of(shape: tuple[int, int, int], scale: str) -> ModelSpec:
    height, width, channels = shape
    color = "rgb" if channels == 3 else "grayscale"
    return ModelSpec(
        name=scale,
        input=InputSpec(height=height, width=width, color=color, scale=scale),
        output=OutputSpec(classes=CLASSES),
        labels=LABELS,
    )


def pictures(spec: InputSpec) -> NDArray[np.uint8]:
    shape = (PICTURES, spec.height, spec.width, spec.channels)
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def scaled(levels: NDArray[np.uint8], spec: InputSpec) -> tf.Tensor:
    return SCALING[spec.scale](tf.constant(levels.astype(np.float32)))


def network(spec: InputSpec, seed: int) -> keras.Model:
    """Return a random network that tells the pictures apart, with what classifiers are made of."""
    keras.utils.set_random_seed(seed)
    picture = keras.Input((spec.height, spec.width, spec.channels))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(picture)
    x = keras.layers.BatchNormalization(gamma_initializer="uniform")(x)
    x = keras.layers.Activation("relu")(x)
    pooled = keras.layers.AveragePooling2D(3, strides=1, padding="same")(x)
    deep = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([pooled, deep]))
    last = keras.layers.Dense(CLASSES)
    model = keras.Model(picture, keras.layers.Softmax()(last(x)))
    logits = keras.Model(picture, last.output)(scaled(pictures(spec), spec)).numpy()
    factor = 2.0 / logits.std(axis=0).mean()
    last.kernel.assign(last.kernel * factor)
    last.bias.assign(-logits.mean(axis=0) * factor)
    return model


def strange() -> keras.Model:
    """Return a network with an operation that OpenVINO does not know."""
    picture = keras.Input(RGB)
    x = keras.layers.Lambda(lambda levels: tf.math.lgamma(levels + 2.0))(picture)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax")(x))


def heavy() -> keras.Model:
    """Return a network that computes for a good while."""
    picture = keras.Input(BIG)
    x = picture
    for _ in range(4):
        x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax")(x))


def write_expected(version: Path) -> None:
    """Ask TensorFlow, and write questions and answers beside the version."""
    spec = read_spec(version)
    assert spec is not None
    levels = pictures(spec.images)
    floats = scaled(levels[::-1], spec.images).numpy()
    strings = np.array([picture.tobytes() for picture in levels], dtype=object)
    model = TensorFlowEngine(TensorFlowOptions()).load(version)
    np.savez(
        version.parent / "expected.npz",
        floats=floats,
        levels=levels,
        from_floats=model.run("serving_default", {"input_image": floats})["scores"],
        from_levels=model.run("pixels", {"pixels": strings})["scores"],
        spec=model.run("describe", {"query": strings[:2]})["spec"].astype("S"),
    )
    (version.parent / "metadata.json").write_bytes(metadata_body("m", 1, model.signatures))


def write_all(root: Path) -> None:
    for seed, scale in enumerate(SCALES):
        spec = spec_of(RGB, scale)
        write_expected(export(network(spec.images, seed), root / scale, spec))
    grey = spec_of(GREY, "unit")
    write_expected(export(network(grey.images, 8), root / "grey", grey))
    write_expected(export(strange(), root / "strange", spec_of(RGB, "tf")))
    other = spec_of(RGB, "tf")
    write_expected(export(network(other.images, 9), root / "other", other))
    export(heavy(), root / "heavy", spec_of(BIG, "tf"))


def main(root: Path, *files: str) -> None:
    """Write all exports, and that of a Keras file."""
    with verified_here():
        write_all(root)
        for file in files:
            write_expected(export_file(Path(file), root / "given", SpecOptions()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
