"""Small networks whose batch normalisation knows a scaling, as after a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_catalog.spec import InputSpec
from scripts.checks.candidates import Candidate
from scripts.checks.picture_files import levels_of, photographs

if TYPE_CHECKING:
    import keras

SIDE = 32


def calibrated(candidate: Candidate, channels: int = 3) -> keras.Model:
    """Return a network that was shown the mirrored photographs, scaled by the candidate."""
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    norm = layers.BatchNormalization(momentum=0.0, name="norm")
    backbone = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, channels)),
            layers.Conv2D(16, 3, use_bias=False),
            norm,
            layers.ReLU(),
        ],
        name="backbone",
    )
    model = keras.Sequential(
        [backbone, layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")]
    )
    color = "rgb" if channels == 3 else "grayscale"
    levels = levels_of(photographs(), InputSpec(height=SIDE, width=SIDE, color=color))
    model(candidate.apply(levels[:, :, ::-1]), training=True)
    return model
