"""Write a Keras classifier as a SavedModel that describes itself.

Four signatures: ``serving_default`` (floats), ``pixels`` (raw bytes), ``image`` (picture files) and
``describe`` (the model spec). Their input and output names never depend on how Keras calls its
layers. Nothing here knows of versions or command lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scripts import picture_graph
from scripts.warmup_requests import write_warmup

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from model_catalog.spec import ModelSpec

#: The ModelSpec for readers that have the files; servers ignore the folder.
SPEC_FILE = Path("assets.extra") / "model_spec.json"


def write_saved_model(model: keras.Model, spec: ModelSpec, folder: Path) -> None:
    """Write the SavedModel and the spec file into a folder."""
    import tensorflow as tf

    module = tf.Module()
    # Keras 3 variables are not tracked by a tf.Module: without these TensorFlow Serving cannot find
    # them, although TensorFlow's Python can.
    module.model_variables = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures=signatures(model, spec))
    spec_file = folder / SPEC_FILE
    spec_file.parent.mkdir()
    spec_file.write_text(spec.to_json() + "\n", encoding="utf-8")
    write_warmup(folder, spec)


def signatures(model: keras.Model, spec: ModelSpec) -> dict[str, tf.types.experimental.Callable]:
    """Return the four functions, each traced for any number of pictures."""
    import tensorflow as tf

    input_dtype = model.inputs[0].dtype
    shape = [None, spec.input.height, spec.input.width, spec.input.channels]
    strings = [None]

    def scores(input_image: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = model(tf.cast(input_image, input_dtype), training=False)
        return {"scores": tf.cast(answer, tf.float32)}

    def pixels(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return scores(picture_graph.from_raw_pixels(pixels, spec.input))

    def image(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return scores(picture_graph.from_files(image_bytes, spec.input))

    def describe(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"spec": tf.fill(tf.shape(query), spec.to_json())}

    return {
        "serving_default": _traced(scores, tf.TensorSpec(shape, tf.float32, "input_image")),
        "pixels": _traced(pixels, tf.TensorSpec(strings, tf.string, "pixels")),
        "image": _traced(image, tf.TensorSpec(strings, tf.string, "image_bytes")),
        "describe": _traced(describe, tf.TensorSpec(strings, tf.string, "query")),
    }


def _traced(
    function: tf.types.experimental.Callable, spec: tf.TensorSpec
) -> tf.types.experimental.Callable:
    import tensorflow as tf

    return tf.function(function, input_signature=[spec], autograph=False)
