"""Export a Keras model file as the next version of a served model.

    python scripts/export_saved_model.py --model flowers.keras --base-path flowers --scale unit

writes ``flowers/<next version>/``, whole or not at all. What the model does not say about itself,
above all how its pixels were scaled, is assumed and printed in one line; options overrule it.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from model_catalog.spec import ACTIVATIONS, COLORS, FITS, INTERPOLATIONS, SCALES, ModelSpec
from scripts import command_line, keras_models, quiet_tensorflow
from scripts.bfloat16 import DTYPES, in_bfloat16
from scripts.spec_of_model import Wishes, spec_of
from scripts.version_folders import new_version

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).resolve().parent.parent
BASE_PATH = ROOT / "my_image_classifier"
MODEL_FILE = ROOT / "scripts" / "inception_v3.keras"


def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line names; 0 done, 1 failed, 2 misused."""
    options = parser().parse_args(argv)
    wishes = wishes_of(options)
    return command_line.run(
        lambda: export_file(options.model, options.base_path, wishes, dtype=options.dtype)
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Export a Keras model as the next served version.")
    add = parser.add_argument
    add("--model", type=Path, default=MODEL_FILE, help="a .keras or .h5 file")
    add("--base-path", type=Path, default=BASE_PATH, help="folder of the numbered versions")
    add("--labels", metavar="FILE|imagenet", help="a label per line, id<TAB>label, or class index")
    add("--size", type=_size, metavar="HxW", help="height and width, such as 299x299")
    add("--color", choices=COLORS, help="what the channels are")
    add("--interpolation", choices=INTERPOLATIONS, default="bilinear", help="how to resize")
    add("--fit", choices=FITS, default="stretch", help="what happens to another aspect ratio")
    add("--scale", choices=SCALES, help="pixels become: tf [-1, 1], unit [0, 1], none [0, 255], …")
    add("--activation", choices=ACTIVATIONS, help="what the last layer applies")
    add("--dtype", choices=DTYPES, default="float32", help="what the layers compute in")
    add("--name", help="the model's name for people")
    add("--source", help="where the weights come from; by default the file's name")
    add("--untrained", action="store_true", help="random weights: every answer carries a warning")
    return parser


def _size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if sides is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 299x299")
    return int(sides[1]), int(sides[2])


def wishes_of(options: argparse.Namespace) -> Wishes:
    """Return what the command line says about the model."""
    said = {field.name: getattr(options, field.name) for field in dataclasses.fields(Wishes)}
    return Wishes(**said | {"source": said["source"] or options.model.name})


def export_file(path: Path, base_path: Path, wishes: Wishes, dtype: str = "float32") -> Path:
    """Export a model file; tell what was assumed and where the version is."""
    quiet_tensorflow.start()
    model = keras_models.load(path)
    spec, assumed = spec_of(model, wishes)
    if assumed:
        print(f"assumed: {'; '.join(assumed)}")
    own, scale = keras_models.own_scaling(model), spec.input.scale
    if own is not None and scale != "none":
        print(f"warning: --scale {scale} comes on top of the model's own {own}; try --scale none")
    if dtype == "bfloat16":
        model = in_bfloat16(model, spec.input)
    version = export(model, base_path, spec)
    print(f"exported {spec.name} to {version}")
    return version


def export(model: keras.Model, base_path: Path, spec: ModelSpec) -> Path:
    """Write the model as the next version below the base path and return the version's folder."""
    from scripts.saved_model import write_saved_model

    now = datetime.now(UTC).isoformat(timespec="seconds")
    with new_version(base_path) as draft:
        write_saved_model(model, dataclasses.replace(spec, exported_at=now), draft.folder)
    return draft.published


if __name__ == "__main__":
    sys.exit(main())
