"""Small Keras models for the tests of the scripts, built in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

CLASSES = 4


def classifier(
    *layers: keras.layers.Layer,
    size: tuple[int | None, int | None] = (6, 5),
    channels: int | None = 3,
    activation: str | None = "softmax",
    name: str = "tiny",
    classes: int = CLASSES,
) -> keras.Model:
    """Return a model that classifies by the mean of each channel; extra layers come first."""
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((*size, channels)),
            *layers,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation=activation, name="anything"),
        ],
        name=name,
    )
