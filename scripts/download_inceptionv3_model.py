"""Download InceptionV3 with its ImageNet weights from keras.applications and save it as one file.

    python scripts/download_inceptionv3_model.py

writes ``scripts/inception_v3.keras`` atomically. Without internet it fails within seconds with the
address that could not be reached, also behind a firewall that drops packets. ``--weights PATH``
reads the weights from a file, ``--weights none`` uses seeded random weights.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import command_line, quiet_tensorflow
from scripts.errors import ScriptError
from scripts.imagenet_weights import WeightsFile, imagenet_weights
from scripts.keras_models import UNTRAINED

if TYPE_CHECKING:
    import keras

OUTPUT = Path(__file__).resolve().parent / "inception_v3.keras"
_SEED = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Save the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    weights_file = WeightsFile(options.weights_url)
    return command_line.run(lambda: download(options.weights, options.output, weights_file))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Save InceptionV3 as a .keras file.")
    add = parser.add_argument
    add(
        "--weights",
        metavar="imagenet|PATH|none",
        default="imagenet",
        help="ImageNet weights, a weights file, or random weights",
    )
    add("--output", type=Path, default=OUTPUT, help="the .keras file to write")
    add(
        "--weights-url",
        default=WeightsFile().url,
        help="address of the ImageNet weights, for a mirror",
    )
    return parser


def download(weights: str, output: Path, weights_file: WeightsFile) -> None:
    """Save InceptionV3 with the given weights."""
    if output.suffix != ".keras":
        raise ScriptError(f"--output {output} is not allowed; allowed is a name ending in .keras.")
    save(inception_v3(weights, weights_file), output)
    print(f"saved {output}")


def inception_v3(weights: str, weights_file: WeightsFile) -> keras.Model:
    """Return InceptionV3; ``weights`` is ``imagenet``, ``none`` (random) or the path of a file."""
    if weights == "imagenet":
        return _with_weights(imagenet_weights(weights_file))
    return _untrained() if weights == "none" else _with_weights(Path(weights))


def _with_weights(path: Path) -> keras.Model:
    if not path.is_file():
        raise ScriptError(f"There is no weights file {path}; allowed are imagenet, PATH and none.")
    quiet_tensorflow.start()
    import keras

    try:
        return keras.applications.InceptionV3(weights=str(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScriptError(f"{path} does not hold InceptionV3's weights: {error}") from error


def _untrained() -> keras.Model:
    quiet_tensorflow.start()
    import keras

    keras.utils.set_random_seed(_SEED)
    return keras.applications.InceptionV3(weights=None, name=f"inception_v3{UNTRAINED}")


def save(model: keras.Model, output: Path) -> None:
    """Write a temporary file and rename it, so that no reader finds half a model."""
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{uuid.uuid4().hex}.keras")
    try:
        model.save(draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
