"""Make graph files with TensorFlow's converter, and run them as TensorFlow Lite does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 16
CLASSES = 5


@dataclass(frozen=True)
class GraphFiles:
    """The files, some images and the scores of the networks that the files were made from."""

    folder: Path

    levels: NDArray[np.uint8]
    """Images of pixels from 0 to 255; the networks take them divided by 255."""

    scores: dict[str, NDArray[np.float32]]
    """By the name of the network."""


def write_files(folder: Path) -> GraphFiles:
    """Write the files of two networks.

    ``pooled`` computes any number of images; the ``flat`` one's ``.tflite`` files take one only.
    """
    import keras

    keras.utils.set_random_seed(1)
    levels = np.random.default_rng(3).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    scores = {}
    for name, middle in (
        ("pooled", keras.layers.GlobalAveragePooling2D()),
        ("flat", keras.layers.Flatten()),
    ):
        last = keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer="normal")
        network = keras.Sequential(
            [
                keras.Input((SIDE, SIDE, 3)),
                keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
                middle,
                last,
            ]
        )
        last.kernel.assign(last.kernel * (400 if name == "pooled" else 40))
        scores[name] = network(levels / np.float32(255)).numpy()
        for file, content in contents(network).items():
            (folder / f"{name}{file}").write_bytes(content)
    return GraphFiles(folder, levels, scores)


def contents(network: Any) -> dict[str, bytes]:
    """Return a network as the content of files, by the ends of their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter warns of what the test wants
        return dict(_converted(network))


def _converted(network: Any) -> Iterator[tuple[str, bytes]]:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    def scores(image: tf.Tensor) -> tf.Tensor:
        return network(image, training=False)

    spec = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, name="image")
    traced = tf.function(scores, autograph=False).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(traced)
    yield ".pb", frozen.graph.as_graph_def().SerializeToString()
    yield ".tflite", tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    for dtype in ("uint8", "int8"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, dtype)
        yield f"_{dtype}.tflite", converter.convert()


def _calibration() -> Iterator[list[NDArray[np.float32]]]:
    rng = np.random.default_rng(5)
    for _ in range(50):
        yield [rng.random((1, SIDE, SIDE, 3), np.float32)]


def run_lite(file: Path, images: NDArray[Any], output: str | None = None) -> NDArray[np.float64]:
    """Return the outputs of a ``.tflite`` file by TensorFlow Lite, as real numbers."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow Lite is to move into a package of its own
        interpreter = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    results = {detail["name"]: detail for detail in interpreter.get_output_details()}
    result = results[output] if output else next(iter(results.values()))
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis].astype(source["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"]).astype(np.float64))
    scale, zero = result["quantization"]
    values = np.concatenate(rows).reshape(len(images), -1)
    return (values - zero) * scale if scale else values
