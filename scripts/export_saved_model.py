"""Export a Keras model file as the next version of a served model.

    python scripts/export_saved_model.py --model flowers.keras --base-path flowers --scale unit

writes ``flowers/<next version>/`` atomically and prints the lines of ``models.toml`` that serve it.
Properties that the model file does not state, above
all the scaling of the pixels, are assumed and printed in one line; options override them.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.installation import is_checkout
from model_catalog.places import find_places
from model_catalog.spec import ACTIVATIONS, COLORS, FITS, INTERPOLATIONS, SCALES, ModelSpec
from scripts import activation, command_line, keras_models, quiet_tensorflow
from scripts.base_paths import base_path_of, how_to_serve, require_same_model
from scripts.bfloat16 import DTYPES, in_bfloat16
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import new_version

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).resolve().parent.parent
BASE_PATH = ROOT / "my_image_classifier"
MODEL_FILE = ROOT / "scripts" / "inception_v3.keras"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Export the model that the command line names; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser(prog).parse_args(argv)
    spec_options = spec_options_of(options)
    return command_line.run(lambda: _run(options, spec_options))


def _run(options: argparse.Namespace, spec_options: SpecOptions) -> None:
    """Choose the folder, export the model, and say how the new version is served."""
    project = find_places().models
    base_path = options.base_path
    if base_path is None:
        is_default = options.model.resolve() == MODEL_FILE
        base_path = BASE_PATH if is_default else base_path_of(options.model, project)
        print(f"assumed: --base-path {base_path} (after the model file)")
    version = export_file(
        options.model, base_path, spec_options, dtype=options.dtype, replace=options.replace
    )
    print(how_to_serve(version, project))


def parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Export a Keras model as the next served version."
    )
    add = parser.add_argument
    if is_checkout():
        add("--model", type=Path, default=MODEL_FILE, help="a .keras or .h5 file")
    else:
        add("--model", type=Path, required=True, help="a .keras or .h5 file")
    add(
        "--base-path",
        type=Path,
        help="folder of the numbered versions; by default one named after the model file",
    )
    add(
        "--replace",
        action="store_true",
        help="allow a version with other labels or another input than the one before",
    )
    add(
        "--labels",
        metavar="FILE|imagenet",
        help="file with one label or id<TAB>label per line, or a JSON class index",
    )
    add("--size", type=_size, metavar="HxW", help="input height and width, such as 299x299")
    add("--color", choices=COLORS, help="colour mode of the input")
    add(
        "--interpolation",
        choices=INTERPOLATIONS,
        default="bilinear",
        help="filter that resizes pictures",
    )
    add(
        "--fit",
        choices=FITS,
        default="stretch",
        help="how pictures of another aspect ratio are fitted",
    )
    add(
        "--scale",
        choices=SCALES,
        help="scaling of pixels: tf [-1, 1], unit [0, 1], none [0, 255], …",
    )
    add("--activation", choices=ACTIVATIONS, help="activation of the last layer")
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
        help="mark the weights as random: every answer carries a warning",
    )
    return parser


def _size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if sides is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 299x299")
    return int(sides[1]), int(sides[2])


def spec_options_of(options: argparse.Namespace) -> SpecOptions:
    """Return the command-line options that describe the model."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(SpecOptions)}
    return SpecOptions(**given | {"source": given["source"] or options.model.name})


def export_file(
    path: Path,
    base_path: Path,
    options: SpecOptions,
    dtype: str = "float32",
    *,
    replace: bool = True,
) -> Path:
    """Export a model file, and print the assumptions and the folder of the new version.

    Without ``replace``, a version that differs from the one before in labels or input is refused.
    """
    quiet_tensorflow.start()
    model = keras_models.load(path)
    spec, assumed = spec_of(model, options)
    if assumed:
        print(f"assumed: {'; '.join(assumed)}")
    for warning in _warnings(model, spec):
        print(f"warning: {warning}")
    if not replace:
        require_same_model(base_path, spec)
    if dtype == "bfloat16":
        model = in_bfloat16(model, spec.input)
    version = export(model, base_path, spec)
    print(f"exported {spec.name} to {version}")
    return version


def _warnings(model: keras.Model, spec: ModelSpec) -> Iterator[str]:
    """Yield one text for each step that the model and its callers would both do."""
    own, scale = keras_models.own_scaling(model), spec.input.scale
    if own is not None and scale != "none":
        yield f"--scale {scale} is applied in addition to the model's own {own}; try --scale none"
    stated = activation.in_graph(model)
    if stated in {"softmax", "sigmoid"} and spec.output.activation == "none":
        yield (
            "with --activation none, the gateway applies a softmax in addition to the model's own "
            f"{stated}; try --activation {stated}"
        )


def export(model: keras.Model, base_path: Path, spec: ModelSpec) -> Path:
    """Write the model as the next version below the base path and return the version's folder."""
    from scripts.saved_model import write_saved_model

    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_version(base_path) as draft:
        write_saved_model(model, dataclasses.replace(spec, exported_at=now), draft.folder)
    return draft.published


if __name__ == "__main__":
    sys.exit(main())
