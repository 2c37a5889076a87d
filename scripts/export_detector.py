"""Export a detector's SavedModel as the next version of a served model.

    python scripts/export_detector.py --model ssd/saved_model --labels coco.pbtxt --size 320x320 \
        --base-path detector

writes ``detector/<next version>/`` atomically and prints the lines of ``models.toml`` that serve
it. Read are the outputs of the TF Object Detection API, Model Garden and KerasHub, and of YOLO
exports whose boxes are decoded; options name the outputs of others. The new version takes raw
pixels, which need a fifth of the bytes of numbers in JSON, and returns only boxes, scores and
classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.boxes import BOX_FORMATS, LAYOUTS, BoxesSpec, declared_boxes
from model_catalog.labels import read_labels
from model_catalog.places import find_places
from model_catalog.spec import FITS, INTERPOLATIONS, SCALES, InputSpec, ModelSpec, OutputSpec
from scripts import command_line, quiet_tensorflow
from scripts.base_paths import add_to_models_file, how_to_serve, how_to_try, require_same_model
from scripts.errors import ScriptError
from scripts.export_saved_model import picture_size
from scripts.version_folders import new_version

if TYPE_CHECKING:
    from scripts.detector_model import Detector

#: Boxes per image; those of a hundred take 5 kB.
MOST = 100

#: Options that describe the outputs, with the fields of BoxesSpec.
_BOXES_OPTIONS = {
    "box_format": "format",
    "layout": "layout",
    "first_class": "first_class",
    "boxes_output": "boxes",
    "scores_output": "scores",
    "classes_output": "classes",
    "count_output": "count",
    "nms_iou": "nms_iou",
}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Export the detector of the command line; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser(prog).parse_args(argv)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    version = export_detector(options)
    project = find_places().models
    say = add_to_models_file if options.add else how_to_serve
    print(say(version, project))
    print(how_to_try(version, project))


def parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Export a detector's SavedModel as the next served version."
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of the SavedModel")
    add("--base-path", type=Path, required=True, help="folder of the numbered versions")
    add("--labels", type=Path, required=True, help="file of labels (text, JSON, CSV or pbtxt)")
    add("--size", type=picture_size, metavar="HxW", help="height and width, if the model is open")
    add("--fit", choices=FITS, default="pad", help="fitting of other aspect ratios; default pad")
    add("--interpolation", choices=INTERPOLATIONS, default="bilinear", help="filter for resizing")
    add("--scale", choices=SCALES, help="scaling of pixels for a model that takes floats")
    add("--signature", default="serving_default", help="signature that finds objects")
    add("--layout", choices=LAYOUTS, help="arrangement of the outputs")
    add("--box-format", choices=BOX_FORMATS, help="meaning of the four numbers of a box")
    add("--first-class", type=int, choices=(0, 1), help="number of the first label")
    add("--boxes-output", metavar="NAME", help="output with boxes, or with everything")
    add("--scores-output", metavar="NAME", help="output with scores")
    add("--classes-output", metavar="NAME", help="output with classes")
    add("--count-output", metavar="NAME", help="output with the number of boxes")
    add("--nms-iou", type=float, metavar="SHARE", help="suppress boxes that overlap by more")
    add("--threshold", type=float, default=0.5, help="minimum score unless a request says another")
    add("--max-detections", type=int, default=MOST, help="boxes per image; by default 100")
    add("--name", help="display name of the model; by default that of the base path")
    add("--source", help="origin of the weights; by default the name of the model's folder")
    add("--add", action="store_true", help="write the lines that serve it into models.toml")
    add("--replace", action="store_true", help="allow other labels or another input than before")
    return parser


def export_detector(options: argparse.Namespace) -> Path:
    """Write the next version as the options say, and return its folder."""
    quiet_tensorflow.require()
    quiet_tensorflow.start()
    from scripts.detector_model import load_detector, write_detector

    if not 1 <= options.max_detections <= 1000:
        raise ScriptError(f"--max-detections is {options.max_detections}; allowed is 1 to 1000.")
    detector = load_detector(options.model, options.signature)
    boxes = _boxes(options, detector)
    print(f"read as: {boxes.layout} outputs, boxes {boxes.format}")
    spec = _spec(options, detector)
    if not options.replace:
        require_same_model(options.base_path, spec)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_version(options.base_path) as draft:
        final = replace(spec, exported_at=now)
        write_detector(detector, boxes, final, options.max_detections, draft.folder)
    print(f"exported {spec.name} to {draft.published}")
    return draft.published


def _boxes(options: argparse.Namespace, detector: Detector) -> BoxesSpec:
    given = {field: getattr(options, option) for option, field in _BOXES_OPTIONS.items()}
    stated: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    return declared_boxes(detector.outputs, stated)


def _spec(options: argparse.Namespace, detector: Detector) -> ModelSpec:
    labels = read_labels(options.labels, fill=True)
    height, width = _size(options, detector)
    return ModelSpec(
        name=options.name or options.base_path.resolve().name,
        task="detection",
        input=InputSpec(
            height=height,
            width=width,
            interpolation=options.interpolation,
            fit=options.fit,
            scale=_scale(options, detector),
        ),
        output=OutputSpec(classes=len(labels), activation="sigmoid"),
        labels=labels,
        boxes=BoxesSpec(threshold=options.threshold),
        source=options.source or options.model.resolve().name,
    )


def _size(options: argparse.Namespace, detector: Detector) -> tuple[int, int]:
    from scripts.detector_model import size_of

    height, width = size_of(detector.tensor)
    given: tuple[int, int] | None = options.size
    if given is None and height is not None and width is not None:
        given = height, width
    if given is None:
        raise ScriptError("The model takes images of any size; choose one with --size HxW.")
    if height not in (None, given[0]) or width not in (None, given[1]):
        raise ScriptError(f"--size is not allowed; the model takes {height}x{width}.")
    return given


def _scale(options: argparse.Namespace, detector: Detector) -> str:
    """Return the scaling; whole numbers and files are never scaled."""
    if not detector.tensor.dtype.is_floating:
        if options.scale not in (None, "none"):
            name = detector.tensor.dtype.name
            raise ScriptError(f"--scale {options.scale} is not allowed; the model takes {name}.")
        return "none"
    if options.scale is None:
        raise ScriptError(
            "The model takes floats; say how pixels are scaled: --scale unit for [0, 1], tf for "
            "[-1, 1], none for [0, 255]."
        )
    return str(options.scale)


if __name__ == "__main__":
    sys.exit(main())
