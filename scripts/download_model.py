"""Download a network of keras.applications with its ImageNet weights and save it as one file.

    python scripts/download_model.py --arch MobileNetV2

writes ``scripts/mobilenetv2.keras`` atomically. Without internet it fails within seconds with the
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

from model_catalog.installation import export_command
from scripts import command_line, quiet_tensorflow
from scripts.applications import SIDES
from scripts.errors import ScriptError
from scripts.imagenet_weights import (
    WeightsError,
    WeightsFile,
    imagenet_weights,
    is_cached,
    problem_of,
    socket_timeout,
)
from scripts.keras_models import UNTRAINED

if TYPE_CHECKING:
    import keras

_FOLDER = Path(__file__).resolve().parent
_SEED = 20
_ADDRESS = WeightsFile().folder.rpartition("/")[0]
#: The architecture whose weights are downloaded with a checksum and a progress bar of our own.
_INCEPTION = "InceptionV3"


def main(argv: Sequence[str] | None = None) -> int:
    """Save the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(lambda: _run(options))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Save a network of keras.applications as a .keras file."
    )
    add = parser.add_argument
    add(
        "--arch",
        required=True,
        choices=sorted(SIDES),
        metavar="NAME",
        help=f"name of the network: {', '.join(sorted(SIDES))}",
    )
    add(
        "--weights",
        metavar="imagenet|PATH|none",
        default="imagenet",
        help="ImageNet weights, a weights file, or random weights",
    )
    add(
        "--output",
        type=Path,
        help="the .keras file to write; by default scripts/NAME.keras, in lower case",
    )
    add("--weights-url", help="address of the ImageNet weights, for a mirror")
    return parser


def _run(options: argparse.Namespace) -> None:
    output = options.output or _FOLDER / f"{file_name(options.arch)}.keras"
    if output.suffix != ".keras":
        raise ScriptError(f"--output {output} is not allowed; allowed is a name ending in .keras.")
    save(application(options.arch, options.weights, _weights_file(options)), output)
    print(f"saved {output}; to serve it: {export_command()} --model {output} --base-path FOLDER")


def file_name(arch: str) -> str:
    """Return the name of the file and of an untrained model."""
    return "inception_v3" if arch == _INCEPTION else arch.lower()


def _weights_file(options: argparse.Namespace) -> WeightsFile | None:
    """Return the file to download; None leaves it to Keras."""
    url = options.weights_url
    # The checksum of InceptionV3's weights is known, those of the others are not.
    if options.arch == _INCEPTION:
        return WeightsFile() if url is None else WeightsFile(url)
    return None if url is None else WeightsFile(url, md5=None)


def application(arch: str, weights: str, weights_file: WeightsFile | None) -> keras.Model:
    """Return a network; ``weights`` is ``imagenet``, ``none`` (random) or the path of a file."""
    if weights == "none":
        return _untrained(arch)
    if weights != "imagenet":
        return _with_weights(arch, Path(weights))
    if weights_file is not None:
        return _with_weights(arch, imagenet_weights(weights_file))
    return _downloaded(arch)


def _with_weights(arch: str, path: Path) -> keras.Model:
    if not path.is_file():
        raise ScriptError(f"There is no weights file {path}; allowed are imagenet, PATH and none.")
    try:
        return _built(arch, weights=str(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScriptError(f"{path} does not hold {arch}'s weights: {error}") from error


def _untrained(arch: str) -> keras.Model:
    quiet_tensorflow.start()
    import keras

    keras.utils.set_random_seed(_SEED)
    return _built(arch, weights=None, name=f"{file_name(arch)}{UNTRAINED}")


def _downloaded(arch: str) -> keras.Model:
    """Let Keras download the weights, which lie beside those of InceptionV3."""
    problem = None if is_cached(arch) else problem_of(WeightsFile())
    if problem is not None:
        raise WeightsError(_ADDRESS, problem)
    with socket_timeout():
        try:
            return _built(arch, weights="imagenet")
        except Exception as error:  # Keras raises bare Exceptions for failed downloads
            raise WeightsError(_ADDRESS, str(error)) from error


def _built(arch: str, **options: str | None) -> keras.Model:
    quiet_tensorflow.start()
    import keras

    shape = (SIDES[arch], SIDES[arch], 3)
    model: keras.Model = getattr(keras.applications, arch)(input_shape=shape, **options)
    return model


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
