"""Write a Keras classifier as a SavedModel that contains its own model spec.

Four signatures: ``serving_default`` (floats), ``pixels`` (raw bytes), ``image`` (image files) and
``describe`` (the model spec). Their input and output names do not depend on the names of Keras
layers. Nothing here knows about versions or command lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from model_catalog.golden import write_golden
from scripts import picture_graph
from scripts.checks.golden_scores import golden_of, tolerance_of
from scripts.errors import ScriptError
from scripts.loading import graph
from scripts.spec_file import write_spec
from scripts.warmup_requests import write_warmup

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from model_catalog.spec import ModelSpec, OutputSpec


def write_saved_model(model: keras.Model, spec: ModelSpec, folder: Path) -> None:
    """Write the SavedModel, the spec file, warm-up requests and golden images into a folder."""
    import tensorflow as tf

    module = tf.Module()
    # A tf.Module does not track the variables of Keras; without this line TensorFlow Serving cannot
    # find them, although TensorFlow in Python can.
    module.model_variables = graph.variables(model)
    module.resources = graph.resources(model)
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures(model, spec))
    except tf.errors.OpError as error:
        raise ScriptError(f"TensorFlow cannot write to {folder}: {error.message}") from error
    write_spec(folder, spec)
    write_warmup(folder, spec)
    golden = golden_of(scorer(model, spec.output), spec.images, tolerance_of(model))
    write_golden(folder, spec.images, golden)


def signatures(
    model: keras.Model, spec: ModelSpec
) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    """Return the four signatures by name, each for any number of images."""
    import tensorflow as tf

    floats = tf.TensorSpec(
        [None, spec.images.height, spec.images.width, spec.images.channels],
        tf.float32,
        "input_image",
    )
    # One traced function, so that all signatures share one copy of the model.
    scores = _traced(scorer(model, spec.output), floats)

    def serving_default(input_image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": scores(input_image)}

    def pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": scores(picture_graph.from_raw_pixels(pixels, spec.images))}

    def image(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": scores(picture_graph.from_files(image_bytes, spec.images))}

    def describe(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"spec": tf.fill(tf.shape(query), spec.to_json())}

    return {
        "serving_default": _traced(serving_default, floats),
        "pixels": _traced(pixels, tf.TensorSpec([None], tf.string, "pixels")),
        "image": _traced(image, tf.TensorSpec([None], tf.string, "image_bytes")),
        "describe": _traced(describe, tf.TensorSpec([None], tf.string, "query")),
    }


def scorer(model: keras.Model, output_spec: OutputSpec) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function from model input to the scores of all classes."""
    import tensorflow as tf

    def scores(input_image: tf.Tensor) -> tf.Tensor:
        output = model(tf.cast(input_image, model.inputs[0].dtype), training=False)
        output = tf.cast(output, tf.float32)
        is_single = output.shape[-1] == 1 and output_spec.classes == 2
        return _of_both_classes(output, output_spec.activation) if is_single else output

    return scores


def _of_both_classes(score: tf.Tensor, activation: str) -> tf.Tensor:
    """Return the scores of two classes, from a model that returns only the second."""
    import tensorflow as tf

    # The softmax of 0 and a logit is the sigmoid of the logit, and the rest for the first class.
    other = tf.zeros_like(score) if activation == "none" else 1.0 - score
    return tf.concat([other, score], axis=-1)


def _traced(
    function: Callable[[tf.Tensor], object], spec: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    import tensorflow as tf

    return tf.function(function, input_signature=[spec], autograph=False)
