"""Let Keras 3 read files of Keras 2 where tf_keras is not installed: layers of the same names.

Keras 2 saved ``groups`` (always 1) for depthwise and separable convolutions, and the initializer,
regularizer and constraint of a kernel that these layers do not have. They are dropped. Any other
value of ``groups`` is left for Keras to refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_LAYERS = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_UNUSED = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


def layers() -> dict[str, type[keras.layers.Layer]]:
    """Return the layers by name, such that they accept the arguments of Keras 2."""
    import keras

    return {name: _tolerant(getattr(keras.layers, name)) for name in _LAYERS}


def _tolerant(layer: type[keras.layers.Layer]) -> type[keras.layers.Layer]:
    """Return a subclass of the same name that drops the arguments of Keras 2."""

    def from_config(cls: type[keras.layers.Layer], config: dict[str, object]) -> keras.layers.Layer:
        return layer.from_config.__func__(cls, without_keras2_arguments(config))

    return type(layer.__name__, (layer,), {"from_config": classmethod(from_config)})


def without_keras2_arguments(config: dict[str, object]) -> dict[str, object]:
    """Return the configuration of a layer without the arguments that have no meaning for it."""
    kept = {key: value for key, value in config.items() if key not in _UNUSED}
    if kept.get("groups") == 1:
        del kept["groups"]
    return kept
