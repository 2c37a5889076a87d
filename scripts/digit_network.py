"""Build a small network in the style of InceptionV3 for 32x32 grey images of digits.

A stem, three blocks of parallel convolutions with several window sizes, global average pooling
and softmax: about 100,000 weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

#: Filters of the branches of each block: 1x1, 3x3, two 3x3 in a row, 1x1 after pooling.
_BLOCKS = ((16, 24, 24, 16), (24, 32, 32, 24), (32, 48, 48, 32))


def digit_network(side: int) -> keras.Model:
    """Return the untrained network for ``side`` x ``side`` images with values from 0 to 1."""
    from keras import Input, Model, layers

    pixels = Input((side, side, 1), name="pixels")
    flow = _convolved(_convolved(pixels, 16, 3), 32, 3, strides=2)
    for index, filters in enumerate(_BLOCKS):
        if index:
            flow = layers.MaxPooling2D(3, strides=2, padding="same")(flow)
        flow = _inception_block(flow, filters)
    pooled = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(flow))
    return Model(
        pixels, layers.Dense(10, activation="softmax", name="digits")(pooled), name="digits"
    )


def _inception_block(
    flow: keras.KerasTensor, filters: tuple[int, int, int, int]
) -> keras.KerasTensor:
    from keras import layers

    narrow, wide, wider, pooled = filters
    return layers.Concatenate()(
        [
            _convolved(flow, narrow, 1),
            _convolved(_convolved(flow, wide // 2, 1), wide, 3),
            _convolved(_convolved(_convolved(flow, wider // 2, 1), wider, 3), wider, 3),
            _convolved(layers.AveragePooling2D(3, strides=1, padding="same")(flow), pooled, 1),
        ]
    )


def _convolved(
    flow: keras.KerasTensor, filters: int, window: int, strides: int = 1
) -> keras.KerasTensor:
    from keras import layers

    flow = layers.Conv2D(filters, window, strides=strides, padding="same", use_bias=False)(flow)
    return layers.Activation("relu")(layers.BatchNormalization()(flow))
