"""Small detectors in TensorFlow ops: they find the red, green and blue areas of a picture.

``python -m tests.detectors FOLDER`` writes one for each form that exports of detectors have.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import tensorflow as tf

LABELS = ("red", "green", "blue")
LABEL_MAP = "\n".join(f"item {{ id: {i} name: '{name}' }}" for i, name in enumerate(LABELS, 1))
SIZE = 64
ROWS = 6


def photo(size: tuple[int, int] = (200, 100)) -> Image.Image:
    """A picture with a red area of 40 x 40 on the left and a blue one of 20 x 60 on the right."""
    image = Image.new("RGB", size, (90, 90, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 30, 59, 69), fill=(255, 0, 0))
    draw.rectangle((150, 20, 169, 79), fill=(0, 0, 255))
    return image


#: Where the areas are.
BOXES = {"red": (20, 30, 60, 70), "blue": (150, 20, 170, 80)}


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _areas(levels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes (3, 4) as ymin, xmin, ymax, xmax in shares, and scores (3,) of each colour."""
    import tensorflow as tf

    levels = tf.cast(levels, tf.float32)
    size = tf.cast(tf.shape(levels)[:2], tf.float32)
    boxes, scores = [], []
    for channel in range(3):
        others = tf.reduce_max(tf.gather(levels, [c for c in range(3) if c != channel], axis=2), 2)
        mask = levels[..., channel] - others > 100
        where = tf.cast(tf.where(mask), tf.float32)
        empty = tf.shape(where)[0] == 0
        low = tf.where(empty, 0.0, tf.reduce_min(where, 0)) / size
        high = tf.where(empty, 0.0, tf.reduce_max(where, 0) + 1) / size
        area = tf.reduce_prod((high - low) * size)
        boxes.append(tf.concat([low, high], 0))
        scores.append(tf.math.divide_no_nan(tf.cast(tf.shape(where)[0], tf.float32), area))
    return tf.stack(boxes), tf.stack(scores)


def _object_detection_api(levels: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of the TF Object Detection API, with a raw tensor beside them."""
    import tensorflow as tf

    boxes, scores = _areas(levels)
    order = tf.argsort(-scores)
    rest = [[0, ROWS - 3]]
    return {
        "detection_boxes": tf.pad(tf.gather(boxes, order), [*rest, [0, 0]])[tf.newaxis],
        "detection_scores": tf.pad(tf.gather(scores, order), rest)[tf.newaxis],
        "detection_classes": tf.pad(tf.cast(order + 1, tf.float32), rest, constant_values=1.0)[
            tf.newaxis
        ],
        "num_detections": tf.reduce_sum(tf.cast(scores > 0, tf.float32))[tf.newaxis],
        # As large as those of a real detector, and of a size that the signature leaves open.
        "raw_detection_boxes": tf.fill([1, 20_000 + tf.shape(levels)[0], 4], 0.12345679),
    }


def _keras_hub(levels: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of KerasHub's RetinaNet: pixels of the input, -1 for no object."""
    import tensorflow as tf

    boxes, scores = _areas(levels)
    found = scores > 0
    pixels = tf.gather(boxes, [1, 0, 3, 2], axis=1) * SIZE
    return {
        "boxes": tf.where(found[:, tf.newaxis], pixels, -1.0)[tf.newaxis],
        "confidence": tf.where(found, scores, -1.0)[tf.newaxis],
        "classes": tf.where(found, tf.range(3), -1)[tf.newaxis],
        "num_detections": tf.constant([3]),
    }


def _yolo(levels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Columns of centre, size and a score per class; each object has three boxes."""
    import tensorflow as tf

    boxes, scores = _areas(levels)
    low, high = boxes[:, 1::-1], boxes[:, 3:1:-1]
    rows = tf.concat([(low + high) / 2, high - low, tf.linalg.diag(scores)], axis=1)
    jittered = [rows, rows * [1, 1, 0.9, 0.9, 0.8, 0.8, 0.8], rows * [1, 1, 1, 0.9, 0.7, 0.7, 0.7]]
    return {"output_0": tf.transpose(tf.concat(jittered, 0))[tf.newaxis]}


def write(path: Path, find: Callable[[Any], Any], spec: tf.TensorSpec) -> Path:
    """Write a SavedModel that finds areas in one picture; the weight has no effect."""
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(1.0)

    def serve(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = input_tensor[0]
        if spec.dtype == tf.string:
            levels = tf.io.decode_image(levels, channels=3, expand_animations=False)
            levels = tf.ensure_shape(levels, [None, None, 3])
        elif spec.dtype.is_floating:
            levels = levels * 255.0
        found: dict[str, tf.Tensor] = find(tf.cast(levels, tf.float32) * module.weight)
        return found

    module.serve = tf.function(serve, input_signature=[spec], autograph=False)
    signatures = {"serving_default": module.serve.get_concrete_function()}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def forms() -> dict[str, tuple[Callable[[Any], Any], tf.TensorSpec]]:
    """The detectors by name: what they return, and what they take."""
    import tensorflow as tf

    def levels(dtype: tf.DType, side: int | None = SIZE) -> tf.TensorSpec:
        return tf.TensorSpec([1, side, side, 3], dtype, "input_tensor")

    return {
        "uint8": (_object_detection_api, levels(tf.uint8, None)),
        "string": (_object_detection_api, tf.TensorSpec([1], tf.string, "input_tensor")),
        "keras": (_keras_hub, levels(tf.float32)),
        "yolo": (_yolo, levels(tf.float32)),
    }


def write_all(root: Path) -> None:
    """Write version 1 of each detector."""
    for name, (find, spec) in forms().items():
        write(root / name / "1", find, spec)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    write_all(Path(sys.argv[1]))
