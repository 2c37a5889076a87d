"""Fetch InceptionV3 with its ImageNet weights from keras.applications and save it as one file.

    python scripts/download_inceptionv3_model.py

writes ``scripts/inception_v3.keras``, whole or not at all. Without internet it says within seconds
what could not be reached; it hangs behind no firewall. ``--weights PATH`` takes the weights from a
file, ``--weights none`` makes random ones, the same every time.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import command_line, quiet_tensorflow, reachability
from scripts.errors import ScriptError
from scripts.keras_models import UNTRAINED

if TYPE_CHECKING:
    import keras

OUTPUT = Path(__file__).resolve().parent / "inception_v3.keras"
_CONNECT_S = 5.0
#: A download that brings nothing for so long has stalled.
_STALL_S = 30.0
_SEED = 20


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """Where the weights are, by default those that keras.applications names, and their checksum."""

    url: str = (
        "https://storage.googleapis.com/tensorflow/keras-applications/"
        "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
    )
    md5: str = "9a0d58056eeedaa3f26cb7ebd46da564"


class WeightsError(ScriptError):
    """The ImageNet weights cannot be had; ``problem`` says why in a few words."""

    def __init__(self, url: str, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"The ImageNet weights could not be had from {url} ({problem}): try again with "
            "internet, pass that file, copied from elsewhere, with --weights PATH, or take "
            "untrained weights with --weights none."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Save the model; 0 done, 1 failed, 2 misused."""
    options = parser().parse_args(argv)
    there = WeightsFile(options.weights_url)
    return command_line.run(lambda: download(options.weights, options.output, there))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Save InceptionV3 as a .keras file.")
    add = parser.add_argument
    add("--weights", metavar="imagenet|PATH|none", default="imagenet", help="which weights to take")
    add("--output", type=Path, default=OUTPUT, help="the .keras file to write")
    add("--weights-url", default=WeightsFile().url, help="where a mirror has the same weights")
    return parser


def download(weights: str, output: Path, there: WeightsFile) -> None:
    """Save InceptionV3 with the given weights."""
    if output.suffix != ".keras":
        raise ScriptError(f"--output {output} is not allowed; allowed is a name ending in .keras.")
    save(inception_v3(weights, there), output)
    print(f"saved {output}")


def inception_v3(weights: str, there: WeightsFile) -> keras.Model:
    """Return InceptionV3 with ``imagenet`` weights, those of a file, or ``none``: seeded ones."""
    if weights == "imagenet":
        return _with_weights(imagenet_weights(there))
    return _untrained() if weights == "none" else _with_weights(Path(weights))


def imagenet_weights(there: WeightsFile, *, stall_s: float = _STALL_S) -> Path:
    """Return the file of the ImageNet weights, fetched unless Keras has it in its cache."""
    # Where Keras itself looks; asked before it is imported, since that takes seconds.
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    file = home / "models" / Path(there.url).name
    problem = "" if file.is_file() else reachability.problem(there.url, timeout_s=_CONNECT_S)
    if problem:
        raise WeightsError(there.url, problem)
    quiet_tensorflow.start()
    import keras

    with _no_longer_than(stall_s):
        try:
            # Keras would take a folder in /tmp instead of one that is missing.
            home.mkdir(parents=True, exist_ok=True)
            keras.utils.get_file(
                origin=there.url, cache_dir=home, cache_subdir="models", file_hash=there.md5
            )
        except Exception as error:  # Keras raises bare Exceptions for failed downloads.
            file.unlink(missing_ok=True)
            raise WeightsError(there.url, str(error)) from error
    return file


@contextmanager
def _no_longer_than(timeout_s: float) -> Iterator[None]:
    """Give every socket a time-out; Keras's own download has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout_s)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


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
    """Write the file beside its place and move it there, so that nobody finds half a model."""
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{uuid.uuid4().hex}.keras")
    try:
        model.save(draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
