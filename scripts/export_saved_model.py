"""Export a Keras model file as the next version of a served model.

    python scripts/export_saved_model.py --model flowers.keras --base-path flowers --scale unit

writes ``flowers/<next version>/`` atomically and prints the lines of ``models.toml`` that serve it.
An export of Teachable Machine, a folder or zip archive, needs no further options. Properties that
the model file does not state, above all the scaling of the pixels, are assumed and printed in one
line; options override them.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.graph_files import is_graph_file
from model_catalog.installation import is_checkout
from model_catalog.places import find_places
from model_catalog.spec import ACTIVATIONS, COLORS, FITS, INTERPOLATIONS, SCALES, ModelSpec
from scripts import activation, command_line, keras_models, quiet_tensorflow
from scripts.base_paths import (
    add_to_models_file,
    base_path_of,
    folder_name,
    how_to_serve,
    how_to_try,
    require_same_model,
)
from scripts.bfloat16 import DTYPES, in_bfloat16
from scripts.checks import verification
from scripts.checks.scale_evidence import evidence_of, settle
from scripts.errors import ScriptError
from scripts.keras_models import LoadOptions
from scripts.loading import keras_files, teachable_machine
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import new_version

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).resolve().parent.parent
BASE_PATH = ROOT / "my_image_classifier"
MODEL_FILE = ROOT / "scripts" / "inception_v3.keras"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Export the model that the command line names; exit codes 0 done, 1 failed, 2 wrong usage."""
    arguments = parser(prog)
    options = arguments.parse_args(argv)
    if not _may_choose_folder(options):
        arguments.error(
            "--base-path is required: the folder of this model's versions, such as "
            f"--base-path {folder_name(options.model)}"
        )
    return command_line.run(lambda: _run(options))


def _may_choose_folder(options: argparse.Namespace) -> bool:
    """Tell whether the folder is given or clear; the default model's is not for other models."""
    return (
        options.base_path is not None
        or _is_inception_v3(options.model)
        or teachable_machine.is_export(options.model)
    )


def _is_inception_v3(model_file: Path) -> bool:
    return model_file.stem.lower() == MODEL_FILE.stem


def _run(options: argparse.Namespace) -> None:
    """Choose the folder, export the model, and say how the new version is served."""
    project = find_places().models
    base_path = options.base_path
    if base_path is None:
        is_default = _is_inception_v3(options.model)
        base_path = (
            BASE_PATH
            if is_default
            else base_path_of(teachable_machine.whole(options.model), project)
        )
        print(f"assumed: --base-path {base_path} (after the model file)")
    spec_options = spec_options_of(options)
    with teachable_machine.opened(options.model) as export:
        if export is not None:
            spec_options = _as_in_sample_code(spec_options, export, base_path)
        if is_graph_file(options.model):
            version = _export_graph_file(options, base_path, spec_options)
        else:
            version = export_file(
                options.model if export is None else export.model,
                base_path,
                spec_options,
                dtype=options.dtype,
                replace=options.replace,
                load=load_options_of(options),
            )
    if options.add:
        print(add_to_models_file(version, project))
    else:
        print(how_to_serve(version, project))
    print(how_to_try(version, project))


def _export_graph_file(
    options: argparse.Namespace, base_path: Path, spec_options: SpecOptions
) -> Path:
    from scripts.graph_files.export import export_graph_file

    if options.dtype != "float32":
        raise ScriptError(
            f"--dtype {options.dtype} is not allowed for {options.model.suffix} files."
        )
    return export_graph_file(
        options.model, base_path, spec_options, output=options.output, replace=options.replace
    )


def _as_in_sample_code(
    options: SpecOptions, export: teachable_machine.Export, base_path: Path
) -> SpecOptions:
    """Return the options, completed by Teachable Machine's preparation of images."""
    found = teachable_machine.PREPARATION | {"labels": str(export.labels)}
    missing = {key: value for key, value in found.items() if getattr(options, key) is None}
    shown = missing | ({"labels": export.labels.name} if "labels" in missing else {})
    text = " ".join(f"--{key} {value}" for key, value in shown.items())
    if missing:
        print(f"assumed: {text} (an export of Teachable Machine, as in its sample code)")
    name = options.name or base_path.resolve().name
    return dataclasses.replace(
        options,
        name=name,
        labels=options.labels or str(export.labels),
        interpolation=options.interpolation or found["interpolation"],
        fit=options.fit or found["fit"],
        scale=options.scale or found["scale"],
    )


def parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Export a Keras model as the next served version."
    )
    _add_places(parser)
    _add_preparation(parser)
    _add_outputs(parser)
    _add_trust(parser)
    _add_pictures(parser)
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Add the model file, and how its version is published."""
    add = parser.add_argument
    files = (
        "a .keras or .h5 file of any version of Keras, a .tflite or frozen .pb file, or an export "
        "of Teachable Machine"
    )
    if is_checkout():
        add("--model", type=Path, default=MODEL_FILE, help=files)
    else:
        add("--model", type=Path, required=True, help=files)
    add(
        "--base-path",
        type=Path,
        help="folder of the numbered versions; may be left out for inception_v3.keras and for "
        "exports of Teachable Machine",
    )
    add(
        "--add",
        action="store_true",
        help="write the lines that serve the model into models.toml",
    )
    add(
        "--replace",
        action="store_true",
        help="allow a version with other labels or another input than the one before",
    )


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    """Add what the model file does not say of labels and input."""
    add = parser.add_argument
    add(
        "--labels",
        metavar="FILE|FOLDER|imagenet",
        help="file of labels (text, JSON, CSV or pbtxt), or a folder with one folder per class",
    )
    add("--size", type=picture_size, metavar="HxW", help="input height and width, such as 299x299")
    add("--output", metavar="NAME", help="output with the scores, if the model has several")
    add("--color", choices=COLORS, help="colour mode of the input")
    add(
        "--interpolation",
        choices=INTERPOLATIONS,
        help="filter that resizes images; by default bilinear",
    )
    add(
        "--fit",
        choices=FITS,
        help="how images of another aspect ratio are fitted; by default stretch",
    )
    add(
        "--scale",
        choices=SCALES,
        help="scaling of pixels: tf [-1, 1], unit [0, 1], none [0, 255], …",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the last layer and number format, and how the model is described to callers."""
    add = parser.add_argument
    add(
        "--activation",
        choices=ACTIVATIONS,
        help="activation of the last layer; none for logits, raw for values of a regression",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="number format that the layers compute in",
    )
    add("--name", help="display name of the model")
    add("--source", help="origin of the weights; by default the name of the model file")
    add(
        "--untrained",
        action="store_true",
        help="mark the weights as random: every response has a warning",
    )


def _add_trust(parser: argparse.ArgumentParser) -> None:
    """Add which code may be run."""
    add = parser.add_argument
    add(
        "--custom",
        type=Path,
        metavar="FILE.py",
        help="Python file with the model's own classes and functions; it is run, so add --trust",
    )
    add(
        "--trust",
        action="store_true",
        help="run the code in the model file (Lambda layers) and in --custom; such code can do "
        "whatever you can do on this machine",
    )


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add the images that tell the scale."""
    add = parser.add_argument
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images like those of the training, to find out the scale",
    )
    add(
        "--check",
        type=Path,
        metavar="FOLDER",
        help="a folder of images for each class, to find out the scale",
    )


def picture_size(text: str) -> tuple[int, int]:
    """Parse HEIGHTxWIDTH of the command line."""
    sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if sides is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 299x299")
    return int(sides[1]), int(sides[2])


def spec_options_of(options: argparse.Namespace) -> SpecOptions:
    """Return the command-line options that describe the model."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(SpecOptions)}
    return SpecOptions(**given | {"source": given["source"] or options.model.name})


def load_options_of(options: argparse.Namespace) -> LoadOptions:
    """Return the command-line options that say how the model file is loaded."""
    names = [field.name for field in dataclasses.fields(LoadOptions)]
    return LoadOptions(**{name: getattr(options, name) for name in names})


def export_file(
    path: Path,
    base_path: Path,
    options: SpecOptions,
    dtype: str = "float32",
    *,
    replace: bool = True,
    load: LoadOptions | None = None,
) -> Path:
    """Export a model file, and print the assumptions and the folder of the new version.

    Without ``replace``, a version that differs from the one before in labels or input is refused.
    """
    quiet_tensorflow.require()
    load = dataclasses.replace(load or LoadOptions(), size=options.size, scale=options.scale)
    work = partial(_export_file, path, base_path, options, load, dtype, replace)
    return keras_files.in_fitting_process(path, work)


def _export_file(
    path: Path, base_path: Path, options: SpecOptions, load: LoadOptions, dtype: str, replace: bool
) -> Path:
    """Export the file with the Keras of this process."""
    loaded = keras_models.load_file(path, load)
    spec, assumed = spec_of(loaded.model, options, loaded.loss)
    evidence = evidence_of(loaded.model, spec, options.images, options.check)
    spec, assumed, warnings = settle(loaded.model, spec, assumed, evidence, options.scale)
    assumed = [*loaded.notes, *assumed]
    if assumed:
        print(f"assumed: {'; '.join(assumed)}")
    for warning in [*_warnings(loaded.model, spec), *warnings]:
        print(f"warning: {warning}")
    if not replace:
        require_same_model(base_path, spec)
    model = in_bfloat16(loaded.model, spec.images) if dtype == "bfloat16" else loaded.model
    try:
        version = export(model, base_path, spec)
    except (
        *(ValueError, TypeError, AttributeError, NotImplementedError),
        AssertionError,  # of a variable or table that belongs to no layer
    ) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        raise ScriptError(f"TensorFlow cannot export the model: {reason}") from error
    print(f"exported {spec.name} to {version}")
    return version


def _warnings(model: keras.Model, spec: ModelSpec) -> Iterator[str]:
    """Yield one text for each step that the model and its callers would both do."""
    own, scale = keras_models.own_scaling(model), spec.images.scale
    if own is not None and scale != "none":
        yield f"--scale {scale} is applied in addition to the model's own {own}; try --scale none"
    stated = activation.in_graph(model)
    if stated in {"softmax", "sigmoid"} and spec.output.activation == "none":
        yield (
            "with --activation none, the gateway applies a softmax in addition to the model's own "
            f"{stated}; try --activation {stated}"
        )


def export(model: keras.Model, base_path: Path, spec: ModelSpec) -> Path:
    """Write the model as the next version below the base path and return the version's folder.

    Raises ScriptError, and publishes nothing, if the written model returns other scores.
    """
    from scripts.saved_model import write_saved_model

    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_version(base_path) as draft:
        write_saved_model(model, dataclasses.replace(spec, exported_at=now), draft.folder)
        for warning in verification.require_same_scores(draft.folder, model):
            print(f"warning: {warning}")
    return draft.published


if __name__ == "__main__":
    sys.exit(main())
