"""Keras's own export of a model with augmentation is random; this project's is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_catalog.random_operations import random_operations
from scripts.export_saved_model import export
from scripts.spec_of_model import SpecOptions, spec_of

pytestmark = pytest.mark.tensorflow


def operations(version: Path) -> list[str]:
    return random_operations((version / "saved_model.pb").read_bytes(), "serving_default")


def test_only_the_export_of_keras_is_random(tensorflow: None, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.RandomFlip(seed=1),
            keras.layers.RandomRotation(0.2, seed=1),
            keras.layers.Conv2D(2, 3),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.export(str(tmp_path / "keras"), verbose=False)
    ours = export(model, tmp_path / "ours", spec_of(model, SpecOptions())[0])

    assert operations(tmp_path / "keras") == ["StatelessRandomUniformV2"]
    assert operations(ours) == []
    serve = tf.saved_model.load(str(tmp_path / "keras")).signatures["serving_default"]
    image = tf.constant(np.random.default_rng(0).random((1, 8, 8, 3), np.float32))
    answers = [next(iter(serve(image).values())).numpy() for _ in range(4)]
    assert np.ptp(answers, axis=0).max() > 0, "the graph is random, as the names tell"
