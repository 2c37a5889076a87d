"""Write a detector's SavedModel again, with signatures that take any number of images.

Four signatures, as in exports of classifiers: ``serving_default`` (levels of pixels), ``pixels``
(raw bytes), ``image`` (image files) and ``describe`` (the model spec). The first three return
the four outputs of ``detector_graph``. The detector itself is asked one image at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model_catalog.boxes import BOXES, CLASSES, COUNT, SCORES
from scripts import picture_graph
from scripts.detector_graph import standard, to_input
from scripts.errors import ScriptError
from scripts.spec_file import write_spec
from scripts.warmup_requests import write_warmup

if TYPE_CHECKING:
    import tensorflow as tf

    from model_catalog.boxes import BoxesSpec
    from model_catalog.spec import ModelSpec

SERVING_DEFAULT = "serving_default"


class Detector(NamedTuple):
    """A loaded SavedModel, and the signature of it that finds objects in one image."""

    loaded: Any
    function: Any

    name: str
    """Name of the function's only input."""

    tensor: tf.TensorSpec
    outputs: Mapping[str, tuple[int, ...]]
    """Shapes of the outputs by name; -1 for any size, empty for any rank."""


def load_detector(folder: Path, signature: str = SERVING_DEFAULT) -> Detector:
    """Load the SavedModel; raise ScriptError for one whose signature takes no single image."""
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder), tags=["serve"])
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ScriptError(f"TensorFlow cannot load {folder}: {str(error)[:300]}") from error
    if signature not in loaded.signatures:
        names = ", ".join(loaded.signatures) or "none"
        raise ScriptError(f"{folder} has the signatures {names}, and no {signature}.")
    function = loaded.signatures[signature]
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise ScriptError(f"The signature has the inputs {', '.join(inputs)}; needed is one.")
    ((name, tensor),) = inputs.items()
    _check(name, tensor)
    outputs = {key: _sizes(output.shape) for key, output in function.structured_outputs.items()}
    return Detector(loaded, function, name, tensor, outputs)


def _sizes(shape: tf.TensorShape) -> tuple[int, ...]:
    return () if shape.rank is None else tuple(-1 if n is None else n for n in shape.as_list())


def _check(name: str, tensor: tf.TensorSpec) -> None:
    import tensorflow as tf

    rank = 1 if tensor.dtype == tf.string else 4
    if tensor.shape.rank != rank or tensor.shape[0] not in (None, 1):
        raise ScriptError(
            f"The input {name} is {tensor.dtype.name} of shape {tensor.shape}; needed is one "
            "image, [1, height, width, channels], or the file of one, a string of shape [1]."
        )


def size_of(tensor: tf.TensorSpec) -> tuple[int | None, int | None]:
    """Return height and width of the input, None where any is allowed."""
    shape = tensor.shape.as_list()
    if len(shape) != 4:
        return None, None
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        return shape[2], shape[3]
    return shape[1], shape[2]


def write_detector(
    detector: Detector, boxes: BoxesSpec, spec: ModelSpec, most: int, folder: Path
) -> None:
    """Write the SavedModel, the spec file and warm-up requests into a folder.

    ``boxes`` describes the outputs of the detector, ``spec`` those of the new SavedModel, which
    has at most ``most`` boxes per image.
    """
    import tensorflow as tf

    module = tf.Module()
    module.detector = detector.loaded  # its variables are written as well
    try:
        tf.saved_model.save(
            module, str(folder), signatures=_signatures(detector, boxes, spec, most)
        )
    except tf.errors.OpError as error:
        raise ScriptError(f"TensorFlow cannot write to {folder}: {error.message}") from error
    write_spec(folder, spec)
    write_warmup(folder, spec, only=("pixels",))


def _signatures(
    detector: Detector, boxes: BoxesSpec, spec: ModelSpec, most: int
) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    import tensorflow as tf

    view = spec.images
    shape = [view.height, view.width, view.channels]
    in_levels = dataclasses.replace(view, scale="none")
    found = _finder(detector, boxes, spec, most)

    def serving_default(input_image: tf.Tensor) -> dict[str, tf.Tensor]:
        return found(input_image)

    def pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        raw = tf.io.decode_raw(pixels, tf.uint8)
        return found(tf.reshape(raw, [tf.shape(pixels)[0], *shape]))

    def image(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = picture_graph.from_files(image_bytes, in_levels)
        return found(tf.cast(tf.round(levels), tf.uint8))

    def describe(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"spec": tf.fill(tf.shape(query), spec.to_json())}

    inputs = {
        serving_default: tf.TensorSpec([None, *shape], tf.uint8, "input_image"),
        pixels: tf.TensorSpec([None], tf.string, "pixels"),
        image: tf.TensorSpec([None], tf.string, "image_bytes"),
        describe: tf.TensorSpec([None], tf.string, "query"),
    }
    return {
        function.__name__: tf.function(function, input_signature=[tensor], autograph=False)
        for function, tensor in inputs.items()
    }


def _finder(
    detector: Detector, boxes: BoxesSpec, spec: ModelSpec, most: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the function from the levels of any number of images to the four outputs."""
    import tensorflow as tf

    view, classes = spec.images, spec.output.classes
    rows = {
        BOXES: tf.TensorSpec([most, 4], tf.float32),
        SCORES: tf.TensorSpec([most], tf.float32),
        CLASSES: tf.TensorSpec([most], tf.float32),
        COUNT: tf.TensorSpec([], tf.float32),
    }

    def one(levels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = detector.function(**{detector.name: to_input(levels, detector.tensor, view)})
        return standard(outputs, boxes, view, classes, most)

    def found(levels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs: dict[str, tf.Tensor] = tf.map_fn(one, levels, fn_output_signature=rows)
        return outputs

    return found
