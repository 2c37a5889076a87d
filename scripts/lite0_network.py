"""Build EfficientNet-Lite0 in Keras, with the weights of PyTorch's file.

The network is EfficientNet-B0 with ReLU6 and without squeeze-and-excitation: a stem, sixteen
inverted residual blocks, a head, global average pooling and softmax.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from scripts.lite0_weights import (
    CLASSES,
    HEAD_FILTERS,
    NAME,
    SIDE,
    STAGES,
    STEM_FILTERS,
    layer_names,
    sources,
)

if TYPE_CHECKING:
    import keras


def lite0(tensors: Mapping[str, NDArray[Any]]) -> keras.Model:
    """Return the network for 224x224 RGB images with values from -1 to 1."""
    model = _untrained()
    for name in layer_names():
        model.get_layer(name).set_weights([source.of(tensors) for source in sources(name)])
    return model


def _untrained() -> keras.Model:
    from keras import Input, Model, layers

    pixels = Input((SIDE, SIDE, 3), name="pixels")
    flow = layers.Conv2D(
        STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="conv_stem"
    )(pixels)
    flow = _relu6(_normalised(flow, "bn0"))
    number = 0
    for stage in STAGES:
        for index in range(stage.blocks):
            strides = 1 if index else stage.strides
            flow = _block(
                flow, f"blocks.{number}", stage.window, strides, stage.expansion, stage.filters
            )
            number += 1
    flow = layers.Conv2D(HEAD_FILTERS, 1, use_bias=False, name="conv_head")(flow)
    pooled = layers.GlobalAveragePooling2D()(_relu6(_normalised(flow, "bn1")))
    scores = layers.Dense(CLASSES, activation="softmax", name="fc")(pooled)
    return Model(pixels, scores, name=NAME)


def _block(
    flow: keras.KerasTensor, name: str, window: int, strides: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """Return the inverted residual block: expansion, depthwise convolution, projection."""
    from keras import layers

    before = flow
    if expansion > 1:
        flow = layers.Conv2D(
            flow.shape[-1] * expansion, 1, use_bias=False, name=f"{name}.expand_conv"
        )(flow)
        flow = _relu6(_normalised(flow, f"{name}.bn0"))
    flow = layers.DepthwiseConv2D(
        window, strides=strides, padding="same", use_bias=False, name=f"{name}.depthwise_conv"
    )(flow)
    flow = _relu6(_normalised(flow, f"{name}.bn1"))
    flow = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}.project_conv")(flow)
    flow = _normalised(flow, f"{name}.bn2")
    return layers.Add()([before, flow]) if before.shape == flow.shape else flow


def _normalised(flow: keras.KerasTensor, name: str) -> keras.KerasTensor:
    from keras import layers

    return layers.BatchNormalization(epsilon=1e-3, name=name)(flow)


def _relu6(flow: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    return layers.ReLU(max_value=6)(flow)
