"""Make a copy of a Keras classifier that computes in bfloat16.

Weights and the values between layers take 16 bits, so a processor with bfloat16 moves half the
bytes and multiplies faster. Layers that are cheap or decide between close classes stay in float32:
those in front of the first weights, normalisations, and all from the last layer with weights on.
Inputs and outputs stay float32 as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scripts.errors import ScriptError
from scripts.loading import graph

if TYPE_CHECKING:
    import keras

    from model_catalog.spec import InputSpec

DTYPES = ("float32", "bfloat16")


def in_bfloat16(model: keras.Model, spec: InputSpec) -> keras.Model:
    """Return the copy, or raise ScriptError if one of the layers cannot compute in bfloat16."""
    import keras
    import numpy as np

    if graph.keras_of(model) is not keras or graph.resources(model):
        raise ScriptError(
            "--dtype bfloat16 is not allowed for files of Keras 1 and 2 and for SavedModels; "
            "allowed is float32."
        )
    float32_layers = list(_float32_layers(model))

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "dtype" in config:
            config["dtype"] = "float32" if layer in float32_layers else "bfloat16"
        return type(layer).from_config(config)

    try:
        copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
        copy.set_weights(model.get_weights())
        scores = np.asarray(copy(np.zeros((1, spec.height, spec.width, spec.channels))))
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ScriptError(f"The model cannot compute in bfloat16: {reason}") from error
    if not np.isfinite(scores).all():
        raise ScriptError(
            "The model cannot compute in bfloat16: a black image gets scores that are not finite."
        )
    return copy


def _float32_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers that stay in float32."""
    layers = list(_leaves(model))
    weighted = [index for index, layer in enumerate(layers) if layer.weights]
    first, last = (weighted[0], weighted[-1]) if weighted else (0, 0)
    for index, layer in enumerate(layers):
        is_normalisation = type(layer).__name__.endswith("Normalization")
        if not first <= index < last or is_normalisation:
            yield layer


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _leaves(layer)
        else:
            yield layer
