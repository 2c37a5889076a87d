"""Provide the models that are served; ``make run`` calls this before it starts the servers.

Without a version of the image classifier, the ImageNet weights are downloaded and exported. Where
the download fails, the same network is exported with random weights and marked as untrained. While
the newest version is untrained, the download is retried at most once a day. Otherwise the script
ends within milliseconds: TensorFlow is imported only for an export.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.errors import SpecError
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import command_line, download_inceptionv3_model, export_saved_model
from scripts.imagenet_weights import WeightsError, WeightsFile
from scripts.keras_models import UNTRAINED
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import versions

ROOT = Path(__file__).resolve().parent.parent
RETRY_S = 24 * 60 * 60.0


class Newest(Enum):
    """State of the newest version of the image classifier."""

    MISSING = auto()
    UNTRAINED = auto()
    TRAINED = auto()


class Task(Enum):
    """Work that is due for the image classifier."""

    NOTHING = auto()

    EXPORT_FILE = auto()
    """Export the trained model file."""

    EXPORT_FIRST = auto()
    """Export the first version: with ImageNet weights, or else with random ones."""

    RETRY_DOWNLOAD = auto()
    """Replace the untrained version if the ImageNet weights can be downloaded now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Files and folders that are read and written, and the address of the weights."""

    base_path: Path = export_saved_model.BASE_PATH
    digits_base_path: Path = ROOT / "my_digit_classifier"

    model_file: Path = export_saved_model.MODEL_FILE
    """Output of the download script; a trained model in it is exported without a download."""

    attempt_file: Path = ROOT / ".run" / "weights_attempt"
    """Its modification time is the time of the last attempt to download the weights."""

    weights: WeightsFile = WeightsFile()


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the models of this checkout; exit codes 0 done, 1 failed, 2 wrong usage."""
    description = "Download or build the models that `make run` serves."
    argparse.ArgumentParser(description=description).parse_args(argv)
    return command_line.run(lambda: prepare(Paths()))


def prepare(paths: Paths) -> Task:
    """Do the work that is due, and return which it was."""
    if not versions(paths.digits_base_path):
        print(f"{paths.digits_base_path} has no version; scripts/train_digits_model.py makes one.")
    task = due(
        newest=newest_version_state(paths.base_path),
        file_ready=is_trained_file(paths.model_file),
        attempt_age_s=age_s(paths.attempt_file),
    )
    if task is Task.EXPORT_FILE:
        options = SpecOptions(source=paths.model_file.name)
        export_saved_model.export_file(paths.model_file, paths.base_path, options)
    elif task is not Task.NOTHING:
        _try_download(paths, task)
    return task


def due(*, newest: Newest, file_ready: bool, attempt_age_s: float) -> Task:
    """Decide which work is due; ``file_ready`` means that a trained model file exists."""
    if newest is Newest.TRAINED:
        return Task.NOTHING
    if file_ready:
        return Task.EXPORT_FILE
    if newest is Newest.MISSING:
        return Task.EXPORT_FIRST
    # A clock that was set back makes ages negative; the last attempt then counts as long ago.
    return Task.NOTHING if 0 <= attempt_age_s < RETRY_S else Task.RETRY_DOWNLOAD


def newest_version_state(base_path: Path) -> Newest:
    """Return the state of the newest version; it counts as trained unless marked otherwise."""
    numbers = versions(base_path)
    if not numbers:
        return Newest.MISSING
    try:
        text = (base_path / str(numbers[-1]) / SPEC_FILE).read_text(encoding="utf-8")
        trained = ModelSpec.from_json(text).trained
    except (OSError, UnicodeDecodeError, SpecError):
        return Newest.TRAINED
    return Newest.TRAINED if trained else Newest.UNTRAINED


def is_trained_file(path: Path) -> bool:
    """Return whether the ``.keras`` file exists and is not marked as untrained."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(archive.read("config.json"))["config"]["name"]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return False
    return not str(name).endswith(UNTRAINED)


def age_s(path: Path) -> float:
    """Return the seconds since the file was modified, infinity for a missing file."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _try_download(paths: Paths, task: Task) -> None:
    paths.attempt_file.parent.mkdir(parents=True, exist_ok=True)
    paths.attempt_file.touch()
    try:
        _export("imagenet", paths, "keras.applications, ImageNet")
    except WeightsError as error:
        host = urlsplit(paths.weights.url).hostname
        print(
            f"The ImageNet weights could not be downloaded from {host} "
            f"({error.problem}), so ImageClassifier is untrained and its answers carry a warning.",
            flush=True,
        )
        if task is Task.EXPORT_FIRST:
            _export("none", paths, "keras.applications, random weights")


def _export(weights: str, paths: Paths, source: str) -> None:
    model = download_inceptionv3_model.inception_v3(weights, paths.weights)
    spec, _ = spec_of(model, SpecOptions(source=source))
    print(f"exported {spec.name} to {export_saved_model.export(model, paths.base_path, spec)}")


if __name__ == "__main__":
    sys.exit(main())
