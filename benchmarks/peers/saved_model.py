"""Run a SavedModel with TensorFlow, for peers that need no model server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_catalog.labels import imagenet_labels

Floats = NDArray[np.float32]


def classifier(folder: str) -> Callable[[Floats], list[str]]:
    """Return the function from pictures to the ids of their best classes."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    run = loaded.signatures["serving_default"]
    ids = [class_id for class_id, _ in imagenet_labels()]

    def classify(images: Floats, keep: Any = loaded) -> list[str]:  # noqa: ANN401 (its variables)
        scores = run(input_image=tf.constant(images))["scores"].numpy()
        return [ids[best] for best in scores.argmax(axis=1)]

    return classify
