"""Make sure that there is something to serve; ``make run`` calls this before it starts the servers.

Without a version of the image classifier it fetches the ImageNet weights or, where they cannot be
had, exports the same network untrained, marked as such. While the newest version is untrained it
asks for the weights again, at most once a day. Otherwise it ends within milliseconds: TensorFlow
is imported only when there is something to export.
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

from model_catalog.errors import SpecError
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import command_line, download_inceptionv3_model, export_saved_model
from scripts.download_inceptionv3_model import WeightsError, WeightsFile
from scripts.keras_models import UNTRAINED
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import versions

ROOT = Path(__file__).resolve().parent.parent
RETRY_S = 24 * 60 * 60.0


class Task(Enum):
    """What has to be done for the image classifier."""

    NOTHING = auto()
    EXPORT_FILE = auto()
    EXPORT_FIRST = auto()
    ASK_AGAIN = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things are."""

    base_path: Path = export_saved_model.BASE_PATH
    digits_base_path: Path = ROOT / "my_digit_classifier"

    model_file: Path = export_saved_model.MODEL_FILE
    """What the download script writes; a trained one is exported without asking the internet."""

    attempt_file: Path = ROOT / ".run" / "weights_attempt"
    """Its time of change is the time of the last attempt to fetch the weights."""

    weights: WeightsFile = WeightsFile()


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the models of this checkout; 0 done, 1 failed, 2 misused."""
    description = "Fetch or make the models that make run serves."
    argparse.ArgumentParser(description=description).parse_args(argv)
    return command_line.run(lambda: prepare(Places()))


def prepare(places: Places) -> Task:
    """Do what is due and return what it was."""
    if not versions(places.digits_base_path):
        print(f"{places.digits_base_path} has no version; scripts/train_digits_model.py makes one.")
    task = due(
        trained=newest_is_trained(places.base_path),
        file_ready=is_trained_file(places.model_file),
        attempt_age_s=age_s(places.attempt_file),
    )
    if task is Task.EXPORT_FILE:
        options = SpecOptions(source=places.model_file.name)
        export_saved_model.export_file(places.model_file, places.base_path, options)
    elif task is not Task.NOTHING:
        _ask_for_weights(places, task)
    return task


def due(*, trained: bool | None, file_ready: bool, attempt_age_s: float) -> Task:
    """Decide; ``trained`` is None where there is no version at all."""
    if trained:
        return Task.NOTHING
    if file_ready:
        return Task.EXPORT_FILE
    if trained is None:
        return Task.EXPORT_FIRST
    # A clock that was put back makes ages negative; then the last attempt counts as long ago.
    return Task.NOTHING if 0 <= attempt_age_s < RETRY_S else Task.ASK_AGAIN


def newest_is_trained(base_path: Path) -> bool | None:
    """Tell whether the newest version is trained: so is everything not marked otherwise."""
    numbers = versions(base_path)
    if not numbers:
        return None
    try:
        spec = (base_path / str(numbers[-1]) / SPEC_FILE).read_text(encoding="utf-8")
        return ModelSpec.from_json(spec).trained
    except (OSError, UnicodeDecodeError, SpecError):
        return True


def is_trained_file(path: Path) -> bool:
    """Tell whether a ``.keras`` file is there that is not marked untrained."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(archive.read("config.json"))["config"]["name"]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return False
    return not str(name).endswith(UNTRAINED)


def age_s(path: Path) -> float:
    """Return for how long the file is unchanged, infinity where there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _ask_for_weights(places: Places, task: Task) -> None:
    places.attempt_file.parent.mkdir(parents=True, exist_ok=True)
    places.attempt_file.touch()
    try:
        _export("imagenet", places, "keras.applications, ImageNet")
    except WeightsError as error:
        print(
            f"The ImageNet weights could not be had from {urlsplit(places.weights.url).hostname} "
            f"({error.problem}), so ImageClassifier is untrained and every answer of it says so.",
            flush=True,
        )
        if task is Task.EXPORT_FIRST:
            _export("none", places, "keras.applications, random weights")


def _export(weights: str, places: Places, source: str) -> None:
    model = download_inceptionv3_model.inception_v3(weights, places.weights)
    spec, _ = spec_of(model, SpecOptions(source=source))
    print(f"exported {spec.name} to {export_saved_model.export(model, places.base_path, spec)}")


if __name__ == "__main__":
    sys.exit(main())
