"""Provide the models that are served; ``make run`` calls this before it starts the servers.

Without a trained version of the image classifier, EfficientNet-Lite0 becomes one, which takes
seconds and no TensorFlow. InceptionV3 becomes the next version where its ImageNet weights can be
had. That takes minutes, so a process in the background does it while the servers run, and installs
TensorFlow first. The weights are looked for at most once a day. Otherwise the script ends within
milliseconds.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.errors import SpecError
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import command_line, demo_model, download_inceptionv3_model, export_saved_model
from scripts.demo_model import DemoModelError
from scripts.errors import ScriptError
from scripts.imagenet_weights import WeightsFile, problem_of
from scripts.keras_models import UNTRAINED
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import versions

ROOT = Path(__file__).resolve().parent.parent
RETRY_S = 24 * 60 * 60.0
#: What TensorFlow adds to .venv on Linux.
TENSORFLOW_SIZE = "1.4 GB"
_LOG = ROOT / ".run" / "logs" / "inception_v3.log"


class Newest(Enum):
    """State of the newest version of the image classifier."""

    MISSING = auto()
    UNTRAINED = auto()
    DEMO = auto()
    TRAINED = auto()


class Task(Enum):
    """How InceptionV3 becomes the next version."""

    NOTHING = auto()
    """It does not."""

    EXPORT_FILE = auto()
    """The trained model file is exported."""

    DOWNLOAD = auto()
    """The ImageNet weights are downloaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Files and folders that are read and written, and where weights come from."""

    base_path: Path = export_saved_model.BASE_PATH
    digits_base_path: Path = ROOT / "my_digit_classifier"

    model_file: Path = export_saved_model.MODEL_FILE
    """Output of the download script; a trained model in it is exported without a download."""

    attempt_file: Path = ROOT / ".run" / "weights_attempt"
    """Its modification time is the time of the last attempt to download the weights."""

    weights: WeightsFile = WeightsFile()
    demo: demo_model.Options = field(default_factory=demo_model.Options)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the models of this checkout; exit codes 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Provide the models that `make run` serves.")
    parser.add_argument(
        "--model",
        choices=("all", "demo", "inception"),
        default="all",
        help="all: the demo model now, InceptionV3 in the background (default); demo: no "
        "InceptionV3; inception: InceptionV3 now",
    )
    wanted = parser.parse_args(argv).model
    if wanted == "inception":
        return command_line.run(lambda: add_inception(Paths()))
    return command_line.run(lambda: _prepare(Paths(), follows=wanted == "all"))


def _prepare(paths: Paths, *, follows: bool) -> None:
    if prepare(paths, follows=follows) is not Task.NOTHING:
        _start_in_background()


def prepare(paths: Paths, *, follows: bool = True) -> Task:
    """Provide a trained version, and return how InceptionV3 becomes the next one.

    Without ``follows``, that is NOTHING. Raises ScriptError where no trained version can be had.
    """
    if not versions(paths.digits_base_path):
        print(f"{paths.digits_base_path} has no version; scripts/train_digits_model.py makes one.")
    newest = newest_version_state(paths.base_path)
    if newest in {Newest.MISSING, Newest.UNTRAINED}:
        _provide_demo(paths, newest)
    if not follows:
        return Task.NOTHING
    task = due(
        newest=newest_version_state(paths.base_path),
        file_ready=is_trained_file(paths.model_file),
        attempt_age_s=age_s(paths.attempt_file),
    )
    return _announced(task, paths)


def due(*, newest: Newest, file_ready: bool, attempt_age_s: float) -> Task:
    """Decide what is due; ``file_ready`` means that a trained model file exists."""
    if newest is not Newest.DEMO:
        return Task.NOTHING
    if file_ready:
        return Task.EXPORT_FILE
    # A clock that was set back makes ages negative; the last attempt then counts as long ago.
    return Task.NOTHING if 0 <= attempt_age_s < RETRY_S else Task.DOWNLOAD


def newest_version_state(base_path: Path) -> Newest:
    """Return the state of the newest version; it counts as trained unless marked otherwise."""
    numbers = versions(base_path)
    if not numbers:
        return Newest.MISSING
    try:
        text = (base_path / str(numbers[-1]) / SPEC_FILE).read_text(encoding="utf-8")
        spec = ModelSpec.from_json(text)
    except (OSError, UnicodeDecodeError, SpecError):
        return Newest.TRAINED
    if not spec.trained:
        return Newest.UNTRAINED
    return Newest.DEMO if spec.name == demo_model.NAME else Newest.TRAINED


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


def _provide_demo(paths: Paths, newest: Newest) -> None:
    """Make the demo model; without its weights, use InceptionV3 if that can be exported now."""
    try:
        demo_model.prepare(paths.base_path, paths.demo)
    except DemoModelError as error:
        if newest is Newest.UNTRAINED:
            print(f"{error} Until then ImageClassifier stays untrained.", flush=True)
            return
        reason = _why_no_inception(paths)
        if reason is not None:
            raise ScriptError(
                f"{error} InceptionV3 cannot take its place: {reason}. To serve the other models, "
                "run .venv/bin/python auto_cmd.py start."
            ) from error
        print(f"{error.problem}, so InceptionV3 is exported now", flush=True)
        add_inception(paths)


def _why_no_inception(paths: Paths) -> str | None:
    """Return why InceptionV3 cannot be exported without installing anything; None if it can."""
    if not _has_tensorflow():
        return "its export needs TensorFlow, which is not installed"
    if is_trained_file(paths.model_file):
        return None
    problem = problem_of(paths.weights)
    return None if problem is None else f"{_host(paths)} cannot be reached ({problem})"


def _announced(task: Task, paths: Paths) -> Task:
    """Say what happens to InceptionV3; return NOTHING if its weights cannot be downloaded."""
    if task is Task.DOWNLOAD and (problem := problem_of(paths.weights)) is not None:
        _note_attempt(paths)
        print(
            f"InceptionV3 is left out, as its weights at {_host(paths)} cannot be reached "
            f"({problem}); EfficientNet-Lite0 is served",
            flush=True,
        )
        return Task.NOTHING
    if task is not Task.NOTHING:
        installs = (
            "" if _has_tensorflow() else f" TensorFlow is installed for it, {TENSORFLOW_SIZE}."
        )
        print(
            "InceptionV3 follows as the next version within minutes, made in the background."
            f"{installs} Its messages are in .run/logs/{_LOG.name}; make run MODEL=demo does "
            "without it.",
            flush=True,
        )
    return task


def _start_in_background() -> None:
    """Add InceptionV3 in a process that ends with this terminal's Ctrl-C, as the servers do."""
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with _LOG.open("wb") as log:
        subprocess.Popen(  # noqa: S603 - this script
            [sys.executable, __file__, "--model", "inception"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_lower_priority,
        )


def _lower_priority() -> None:
    """Lower the priority, as the servers start and answer meanwhile."""
    os.nice(10)


def add_inception(paths: Paths) -> None:
    """Export InceptionV3 as the next version; first install TensorFlow if it is missing.

    Raises ScriptError if the packages or the weights cannot be had. A second call at the same time
    does nothing.
    """
    with _only_one(paths) as is_first:
        if not is_first:
            print("InceptionV3 is being exported by another process")
            return
        if not _has_tensorflow():
            _install_tensorflow()
        if is_trained_file(paths.model_file):
            options = SpecOptions(source=paths.model_file.name)
            export_saved_model.export_file(paths.model_file, paths.base_path, options)
            return
        model = download_inceptionv3_model.inception_v3("imagenet", paths.weights)
        spec, _ = spec_of(model, SpecOptions(source="keras.applications, ImageNet"))
        print(f"exported {spec.name} to {export_saved_model.export(model, paths.base_path, spec)}")


@contextmanager
def _only_one(paths: Paths) -> Iterator[bool]:
    """Note the attempt, and yield whether no other process makes one.

    An attempt that is interrupted does not count, so that the next ``make run`` repeats it.
    """
    _note_attempt(paths)
    with paths.attempt_file.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        except KeyboardInterrupt:
            paths.attempt_file.unlink(missing_ok=True)
            raise


def _note_attempt(paths: Paths) -> None:
    paths.attempt_file.parent.mkdir(parents=True, exist_ok=True)
    paths.attempt_file.touch()


def _has_tensorflow() -> bool:
    return find_spec("tensorflow") is not None


def _install_tensorflow() -> None:
    """Install what exports need into this interpreter's environment."""
    print(f"installing TensorFlow ({TENSORFLOW_SIZE})", flush=True)
    command = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 - pip of this interpreter
        [sys.executable, *command, "-c", "constraints.txt", "-e", ".[embedded,export]"],
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise ScriptError("TensorFlow could not be installed; see pip's messages above.")
    invalidate_caches()


def _host(paths: Paths) -> str | None:
    return urlsplit(paths.weights.url).hostname


if __name__ == "__main__":
    sys.exit(main())
