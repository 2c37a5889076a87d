"""Find out how the images of a model have to be scaled.

    python scripts/doctor_model.py flowers.keras --images photos --check photos_by_class

compares the statistics of the model's first batch normalisation with those of images, and with
``--check`` how well its scores fit labelled images, for each scale and order of channels.

    python scripts/doctor_model.py flowers/1 --scale unit

reads the graph of a SavedModel of another tool: whether it resizes and scales pixels itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.model_entry import SERVING_DEFAULT
from model_catalog.spec import SCALES
from scripts import command_line, keras_models, quiet_tensorflow
from scripts.checks import saved_model_input
from scripts.checks.batch_norm import Statistics
from scripts.checks.class_folders import Check
from scripts.checks.saved_model_input import SAVED_MODEL
from scripts.checks.scale_evidence import Evidence, evidence_of
from scripts.export_saved_model import load_options_of, spec_options_of
from scripts.export_saved_model import parser as export_parser
from scripts.loading import keras_files
from scripts.spec_of_model import spec_of


def main(argv: Sequence[str] | None = None) -> int:
    """Examine the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    own, others = parser().parse_known_args(argv)
    if (own.model / SAVED_MODEL).is_file():
        options = saved_model_parser().parse_args(argv)
        return command_line.run(lambda: _read_graph(options))
    known = ["--model", str(own.model)]
    for option in ("images", "check"):
        if (folder := getattr(own, option)) is not None:
            known += [f"--{option}", str(folder)]
    options = export_parser("doctor_model.py").parse_args([*known, *others])
    return command_line.run(lambda: _run(options))


def _read_graph(options: argparse.Namespace) -> None:
    for line in saved_model_input.report(options.model, options.signature, options.scale):
        print(line)


def _run(options: argparse.Namespace) -> None:
    """Examine the model with the Keras that its file is for."""
    quiet_tensorflow.require()
    keras_files.in_fitting_process(options.model, partial(_examine, options))


def parser() -> argparse.ArgumentParser:
    """Return the command line; those of its options that the export has too mean the same there."""
    parser = argparse.ArgumentParser(
        prog="doctor_model.py",
        description="Find out how the images of a model have to be scaled.",
        epilog="The options of export_saved_model.py that describe the model are allowed as well, "
        "such as --size, --labels and --activation; of a SavedModel, --scale and --signature.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "model",
        type=Path,
        metavar="MODEL",
        help="a .keras or .h5 file, or the folder of a SavedModel",
    )
    add("--images", type=Path, metavar="FOLDER", help="images like those of the training")
    add("--check", type=Path, metavar="FOLDER", help="a folder with one folder per class")
    return parser


def saved_model_parser() -> argparse.ArgumentParser:
    """Return the command line for SavedModels, whose graph is read."""
    parser = argparse.ArgumentParser(
        prog="doctor_model.py",
        description="Tell what a SavedModel does to the pixels of its input.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="the folder with saved_model.pb")
    add("--signature", default=SERVING_DEFAULT, help="the signature that takes images")
    add("--scale", choices=SCALES, help="how models.toml has pixels scaled before")
    return parser


def _examine(options: argparse.Namespace) -> None:
    loaded = keras_models.load_file(options.model, load_options_of(options))
    model = loaded.model
    spec, _ = spec_of(model, spec_options_of(options), loaded.loss)
    found = keras_models.scale_of(model)
    evidence = evidence_of(model, spec, options.images, options.check)
    print(f"{spec.name}: {spec.images.height} x {spec.images.width} {spec.images.color}")
    print(f"The model file: --scale {found.value} ({found.assumption or 'stated'})")
    for line in report(evidence):
        print(line)


def report(evidence: Evidence) -> Iterator[str]:
    """Yield the lines that tell what was found."""
    yield ""
    if evidence.statistics is None:
        yield evidence.no_statistics
    else:
        yield from _of_statistics(evidence.statistics, evidence.pictures)
    if evidence.check is not None:
        yield ""
        yield from _of_check(evidence.check)


def _of_statistics(statistics: Statistics, pictures: int) -> Iterator[str]:
    yield (
        f"Divergence at the first batch normalisation ({statistics.layer}) with {pictures} "
        "images; the smallest fits best:"
    )
    for divergence in statistics.divergences:
        yield f"  {divergence.value:10.3g}  {divergence.candidate}"
    if statistics.is_frozen:
        yield (
            "The layer was frozen in training. It shows the scale of the backbone, which was "
            "trained before; this model may have been trained with another scale."
        )
    if not statistics.is_similar:
        yield (
            "No candidate fits well: the images are unlike those of the training. --images "
            "FOLDER names images like those."
        )
    yield f"Possible: --scale {' or '.join(statistics.scales)}{_order(statistics)}"


def _order(statistics: Statistics) -> str:
    best = statistics.scales[0]
    orders = {c.reverses for c in statistics.plausible if c.scale == best}
    if len(orders) == 2:
        return "; the order of the channels is not decided"
    if statistics.is_swapped:
        return "; with red and blue swapped, for which the model needs a layer of its own"
    return ""


def _of_check(check: Check) -> Iterator[str]:
    yield f"Negative log-likelihood of {check.pictures} labelled images; the smallest fits best:"
    for fit in check.fits:
        mark = "  (tie)" if fit.is_tie and fit is not check.fits[0] else ""
        yield f"  {fit.loss:10.3g}  {fit.accuracy:4.0%} right  {fit.candidate}{mark}"
    yield f"Possible: --scale {' or '.join(check.scales)}"
    yield "--fit and --interpolation change scores too little to be decided by a few images."


if __name__ == "__main__":
    sys.exit(main())
