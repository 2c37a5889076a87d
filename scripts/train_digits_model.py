"""Train the digits model on scikit-learn's handwritten digits and export it.

    python scripts/train_digits_model.py

takes three minutes on two cores, needs no internet, prints the accuracy on 360 held-out digits and
writes the next version below ``my_digit_classifier/``. On one machine, the same seed always gives
the same weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.labels import numbered_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import command_line, digit_pictures, quiet_tensorflow
from scripts.digit_augmentation import augmented
from scripts.digit_network import digit_network
from scripts.digit_pictures import SIDE, Pictures, Split
from scripts.export_saved_model import export

if TYPE_CHECKING:
    import keras

BASE_PATH = Path(__file__).resolve().parent.parent / "my_digit_classifier"
SPEC = ModelSpec(
    name="digits",
    input=InputSpec(height=SIDE, width=SIDE, color="grayscale", scale="unit"),
    output=OutputSpec(classes=10),
    labels=numbered_labels(10),
    source="scripts/train_digits_model.py on scikit-learn's handwritten digits",
)

_BATCH = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Train, evaluate and export the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(lambda: train(options.base_path, options.variants, options.seed))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train the digits model and export it.")
    add = parser.add_argument
    add("--base-path", type=Path, default=BASE_PATH, help="folder of the numbered versions")
    add("--variants", type=int, default=120, help="augmented variants of each training image")
    add("--seed", type=int, default=1, help="seed of the weights and the augmentation")
    return parser


def train(base_path: Path, variants: int, seed: int) -> None:
    """Train the model, print its accuracy, and export it."""
    quiet_tensorflow.start()
    model = trained(digit_pictures.training(), variants=variants, seed=seed)
    report(model, digit_pictures.held_out())
    print(f"exported digits to {export(model, base_path, SPEC)}")


def trained(examples: Split, *, variants: int, seed: int) -> keras.Model:
    """Return the network after one epoch over ``variants`` augmented variants of each image."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    pictures, digits = _augmented_in_random_order(examples, variants, np.random.default_rng(seed))
    model = digit_network(SIDE)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        3e-3, decay_steps=-(-len(digits) // _BATCH)
    )
    model.compile(keras.optimizers.Adam(learning_rate), loss="sparse_categorical_crossentropy")
    model.fit(scaled(pictures), digits, batch_size=_BATCH, shuffle=False, verbose=1)
    return model


def _augmented_in_random_order(
    examples: Split, variants: int, random: np.random.Generator
) -> Split:
    order = random.permutation(np.tile(np.arange(len(examples.digits)), variants))
    pictures = [augmented(examples.pictures[i], int(examples.digits[i]), random) for i in order]
    return Split(np.stack(pictures), examples.digits[order])


def report(model: keras.Model, held_out: Split) -> None:
    """Print the accuracy on the images and on their negatives."""
    for kind, pictures in (
        ("light on dark", held_out.pictures),
        ("dark on light", 255 - held_out.pictures),
    ):
        right = np.mean(
            model.predict(scaled(pictures), verbose=0).argmax(axis=1) == held_out.digits
        )
        print(f"{right:.1%} of {len(held_out.digits)} held-out digits are right, {kind}")


def scaled(pictures: Pictures) -> NDArray[np.float32]:
    """Return the images as network input: one channel, values from 0 to 1."""
    return pictures[..., np.newaxis].astype(np.float32) / np.float32(255)


if __name__ == "__main__":
    sys.exit(main())
