"""Train the digits model on scikit-learn's handwritten digits and export it.

    python scripts/train_digits_model.py

takes three minutes on two cores, needs no internet, prints the accuracy on 360 held-out digits and
writes the next version below ``my_digit_classifier/``. The same seed gives the same weights on the
same machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_catalog.labels import numbered_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import command_line, quiet_tensorflow
from scripts.digit_network import digit_network
from scripts.digit_pictures import SIDE, Pictures, Split, held_out, training, varied
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
    """Train, measure, export; 0 done, 1 failed, 2 misused."""
    options = parser().parse_args(argv)
    return command_line.run(lambda: train(options.base_path, options.variants, options.seed))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train the digits model and export it.")
    add = parser.add_argument
    add("--base-path", type=Path, default=BASE_PATH, help="folder of the numbered versions")
    add("--variants", type=int, default=120, help="how often each digit is seen, each time changed")
    add("--seed", type=int, default=1)
    return parser


def train(base_path: Path, variants: int, seed: int) -> None:
    """Train, tell how good the model has become, and export it."""
    quiet_tensorflow.start()
    model = trained(training(), variants=variants, seed=seed)
    report(model, held_out())
    print(f"exported digits to {export(model, base_path, SPEC)}")


def trained(lessons: Split, *, variants: int, seed: int) -> keras.Model:
    """Return a network that has seen each picture in so many variants, each variant once."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    pictures, digits = _varied_in_random_order(lessons, variants, np.random.default_rng(seed))
    model = digit_network(SIDE)
    pace = keras.optimizers.schedules.CosineDecay(3e-3, decay_steps=-(-len(digits) // _BATCH))
    model.compile(keras.optimizers.Adam(pace), loss="sparse_categorical_crossentropy")
    model.fit(scaled(pictures), digits, batch_size=_BATCH, shuffle=False, verbose=1)
    return model


def _varied_in_random_order(lessons: Split, variants: int, random: np.random.Generator) -> Split:
    order = random.permutation(np.tile(np.arange(len(lessons.digits)), variants))
    pictures = [varied(lessons.pictures[i], int(lessons.digits[i]), random) for i in order]
    return Split(np.stack(pictures), lessons.digits[order])


def report(model: keras.Model, exam: Split) -> None:
    """Print how many of the pictures, and of their negatives, are recognised."""
    for kind, pictures in (
        ("light on dark", exam.pictures),
        ("dark on light", 255 - exam.pictures),
    ):
        right = np.mean(model.predict(scaled(pictures), verbose=0).argmax(axis=1) == exam.digits)
        print(f"{right:.1%} of {len(exam.digits)} held-out digits are right, {kind}")


def scaled(pictures: Pictures) -> NDArray[np.float32]:
    """Return what the network wants: one channel, values from 0 to 1."""
    return pictures[..., np.newaxis].astype(np.float32) / np.float32(255)


if __name__ == "__main__":
    sys.exit(main())
