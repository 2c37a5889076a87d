"""Bring the outputs of any detector into one form inside the TensorFlow graph.

That form is the one of the TF Object Detection API: the best boxes as shares of the input's sides,
(ymin, xmin, ymax, xmax), their scores, their classes from 1 on, and their number. Only these four
outputs travel, whatever else the detector returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from model_catalog.boxes import BOXES, CLASSES, COUNT, SCORES
from scripts.errors import ScriptError
from scripts.picture_graph import SCALING

if TYPE_CHECKING:
    import tensorflow as tf

    from model_catalog.boxes import BoxesSpec
    from model_catalog.spec import InputSpec

#: Further apart than any two boxes: boxes of different classes must not suppress each other.
_APART = 4.0


class Candidates(NamedTuple):
    """All boxes of one image: corners (N, 4) as they come, scores (N,), indices of labels (N,)."""

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


def to_input(levels: tf.Tensor, tensor: tf.TensorSpec, spec: InputSpec) -> tf.Tensor:
    """Return the detector's input for one image of whole levels, [height, width, channels]."""
    import tensorflow as tf

    if tensor.dtype == tf.string:
        return tf.io.encode_png(levels, compression=1)[tf.newaxis]
    if tensor.dtype.is_floating:
        values = tf.cast(SCALING[spec.scale](tf.cast(levels, tf.float32)), tensor.dtype)
    else:
        values = tf.cast(levels, tensor.dtype)
    shape = tensor.shape.as_list()
    if shape[1] == spec.channels and shape[3] != spec.channels:
        values = tf.transpose(values, [2, 0, 1])
    return values[tf.newaxis]


def standard(
    outputs: Mapping[str, tf.Tensor],
    spec: BoxesSpec,
    input_spec: InputSpec,
    classes: int,
    most: int,
) -> dict[str, tf.Tensor]:
    """Return the four outputs for one image, with ``most`` rows; rows without a box are zeros.

    ``classes`` is the number of labels. Raises ScriptError for outputs that do not fit ``spec``.
    """
    import tensorflow as tf

    found = _read(outputs, spec, classes)
    corners = _corners(tf.cast(found.boxes, tf.float32), spec.format)
    if not spec.format.startswith("rel_"):
        height, width = float(input_spec.height), float(input_spec.width)
        corners = corners / [height, width, height, width]
    known = (found.classes >= 0) & (found.classes < classes)
    usable = known & tf.reduce_all(tf.math.is_finite(corners), axis=1)
    scores = tf.where(usable & tf.math.is_finite(found.scores), found.scores, -1.0)
    chosen = _chosen(Candidates(corners, scores, found.classes), spec.nms_iou, most)
    count = tf.reduce_sum(tf.cast(tf.gather(scores, chosen) > 0, tf.int32))
    chosen = chosen[:count]
    rest = most - count
    return {
        BOXES: tf.ensure_shape(tf.pad(tf.gather(corners, chosen), [[0, rest], [0, 0]]), [most, 4]),
        SCORES: tf.ensure_shape(tf.pad(tf.gather(scores, chosen), [[0, rest]]), [most]),
        CLASSES: tf.ensure_shape(
            tf.pad(tf.cast(tf.gather(found.classes, chosen) + 1, tf.float32), [[0, rest]]), [most]
        ),
        COUNT: tf.cast(count, tf.float32),
    }


def _read(outputs: Mapping[str, tf.Tensor], spec: BoxesSpec, classes: int) -> Candidates:
    import tensorflow as tf

    if spec.layout != "separate":
        return _combined(_named(outputs, spec.boxes)[0], spec, classes)
    boxes, scores = (_named(outputs, name)[0] for name in (spec.boxes, spec.scores))
    scores = tf.cast(scores, tf.float32)
    if spec.classes is None:
        scores = scores if scores.shape.rank == 2 else scores[:, tf.newaxis]
        scores, numbers = tf.reduce_max(scores, axis=1), _argmax(scores)
    else:
        numbers = _rounded(_named(outputs, spec.classes)[0]) - spec.first_class
    if spec.count is not None:
        count = _rounded(tf.reshape(_named(outputs, spec.count), [-1])[0])
        scores = tf.where(tf.range(tf.shape(scores)[0]) < count, scores, -1.0)
    return Candidates(boxes, scores, numbers)


def _combined(table: tf.Tensor, spec: BoxesSpec, classes: int) -> Candidates:
    import tensorflow as tf

    columns = 4 + {"rows": 2, "yolo": classes, "yolo_objectness": classes + 1}[spec.layout]
    shape = table.shape.as_list()
    if shape[1] != columns and shape[0] == columns:
        table = tf.transpose(table)
    elif shape[1] != columns:
        raise ScriptError(
            f"The output has the shape {shape} per image; with --layout {spec.layout} and "
            f"{classes} labels, one side must be {columns}."
        )
    table = tf.cast(table, tf.float32)
    boxes, values = table[:, :4], table[:, 4:]
    if spec.layout == "rows":
        return Candidates(boxes, values[:, 0], _rounded(values[:, 1]) - spec.first_class)
    if spec.layout == "yolo_objectness":
        values = values[:, :1] * values[:, 1:]
    return Candidates(boxes, tf.reduce_max(values, axis=1), _argmax(values))


def _named(outputs: Mapping[str, tf.Tensor], name: str | None) -> tf.Tensor:
    if name is None and len(outputs) == 1:
        return next(iter(outputs.values()))
    if name is None or name not in outputs:
        raise ScriptError(f"The detector has the outputs {', '.join(outputs)}, and no {name}.")
    return outputs[name]


def _argmax(scores: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.argmax(scores, axis=1, output_type=tf.int32)


def _rounded(numbers: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.cast(tf.round(tf.cast(numbers, tf.float32)), tf.int32)


def _chosen(found: Candidates, nms_iou: float | None, most: int) -> tf.Tensor:
    """Return the indices of at most ``most`` boxes, best first, after suppression if wanted."""
    import tensorflow as tf

    if nms_iou is None:
        count = tf.minimum(most, tf.shape(found.scores)[0])
        return tf.math.top_k(found.scores, count).indices
    offsets = _APART * tf.cast(found.classes, tf.float32)[:, tf.newaxis]
    return tf.image.non_max_suppression(
        tf.clip_by_value(found.boxes, -1.0, 2.0) + offsets,
        found.scores,
        most,
        iou_threshold=nms_iou,
        score_threshold=0.0,
    )


def _corners(boxes: tf.Tensor, box_format: str) -> tf.Tensor:
    """Return ymin, xmin, ymax, xmax of boxes in any of the formats."""
    import tensorflow as tf

    a, b, c, d = tf.unstack(boxes, num=4, axis=1)
    corners: dict[str, Callable[[], tuple[tf.Tensor, ...]]] = {
        "yxyx": lambda: (a, b, c, d),
        "xyxy": lambda: (b, a, d, c),
        "xywh": lambda: (b, a, b + d, a + c),
        "center_xywh": lambda: (b - d / 2, a - c / 2, b + d / 2, a + c / 2),
    }
    return tf.stack(corners[box_format.removeprefix("rel_")](), axis=1)
