"""Check a version folder that is not published yet, in the process that runs this file.

    python scripts/checks/verify_program.py FOLDER WEIGHT_BYTES

loads the SavedModel as TensorFlow Serving does, runs each signature on the golden images, and
prints one line of JSON: the problems, and how far OpenVINO differs where it is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from model_catalog import openvino_telemetry
from model_catalog.errors import GoldenError
from model_catalog.golden import FOLDER, TOLERANCE, Golden, read_golden
from model_catalog.lean_import import without_keras
from model_catalog.scaling import SCALINGS
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: Largest drift between the framework that loaded the model file and the SavedModel.
SAME: Final = 1e-5
#: What the variables' files may have beyond the weights: names, checksums and the object graph.
_EXTRA_BYTES: Final = 2**20
_EXTRA_SHARE: Final = 0.1


def report(folder: Path, weight_bytes: int) -> dict[str, Any]:
    """Return ``problems``, a list of sentences, and ``openvino``, its drift if that is too large.

    Raises OSError or CatalogError if the spec or the golden images cannot be read.
    """
    return {"problems": problems(folder, weight_bytes), "openvino": _openvino_drift(folder)}


def problems(folder: Path, weight_bytes: int) -> list[str]:
    """Return what is different from the model file, each difference as one sentence."""
    spec, golden = _description(folder)
    return [*_size_problems(folder, weight_bytes), *_score_problems(folder, spec, golden)]


def _description(folder: Path) -> tuple[ModelSpec, Golden]:
    spec = ModelSpec.from_json((folder / SPEC_FILE).read_bytes())
    golden = read_golden(folder, spec.images)
    if golden is None:
        raise GoldenError(f"{folder / FOLDER} is missing.")
    return spec, golden


def _size_problems(folder: Path, weight_bytes: int) -> Iterator[str]:
    size = sum(path.stat().st_size for path in (folder / "variables").glob("variables.data-*"))
    if not weight_bytes <= size <= weight_bytes * (1 + _EXTRA_SHARE) + _EXTRA_BYTES:
        yield f"Its variables take {size} bytes; the weights of the model take {weight_bytes}."


def _score_problems(folder: Path, spec: ModelSpec, golden: Golden) -> Iterator[str]:
    """Yield one sentence for each signature that fails or returns something else."""
    import tensorflow as tf

    allowed = SAME if golden.tolerance <= TOLERANCE else golden.tolerance
    try:
        session = _Session(folder)
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        yield f"TensorFlow cannot load it: {_first_line(error)}"
        return
    for signature, inputs in _inputs(folder, spec.images, golden).items():
        try:
            drift = golden.drift(session.run(signature, inputs, "scores").tolist())
        except (tf.errors.OpError, LookupError, ValueError) as error:
            yield f"Its signature {signature} cannot be run: {_first_line(error)}"
            continue
        if not drift <= allowed:
            yield (
                f"The scores of its signature {signature} differ by up to {drift:.2g} from those "
                f"of the model file; allowed is {allowed:g}."
            )
    if session.run("describe", [b"spec"], "spec").tolist() != [spec.to_json().encode()]:
        yield "Its signature describe returns another spec."


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


class _Session:
    """The SavedModel, restored from its files alone as TensorFlow Serving restores it.

    ``tf.saved_model.load`` would also find variables that TensorFlow Serving does not find.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loader = tf.compat.v1.saved_model.load
            self._signatures = loader(self._session, ["serve"], str(folder)).signature_def

    def run(self, signature: str, rows: object, output: str) -> NDArray[Any]:
        definition = self._signatures[signature]
        (source,) = definition.inputs.values()
        result: NDArray[Any] = self._session.run(
            definition.outputs[output].name, {source.name: rows}
        )
        return result


def _inputs(folder: Path, spec: InputSpec, golden: Golden) -> dict[str, object]:
    files = [folder / FOLDER / f"{picture.name}.png" for picture in golden.pictures]
    return {
        "serving_default": _model_input(spec, golden),
        "pixels": [picture.pixels for picture in golden.pictures],
        "image": [file.read_bytes() for file in files],
    }


def _model_input(spec: InputSpec, golden: Golden) -> Floats:
    """Return the images as floats, scaled by numpy and not by the graph that is checked."""
    import numpy as np

    scaling = SCALINGS[spec.scale]
    data = b"".join(picture.pixels for picture in golden.pictures)
    levels = np.frombuffer(data, np.uint8).reshape(-1, spec.height, spec.width, spec.channels)
    values = (levels[..., ::-1] if scaling.reverses else levels).astype(np.float32)
    mean, deviation = (np.array(row, np.float32) for row in (scaling.mean, scaling.deviation))
    values = (values / np.float32(scaling.divisor) - mean) / deviation
    return values.astype(np.float32)


def _openvino_drift(folder: Path) -> float | None:
    """Return how far OpenVINO differs; None for little, or where it cannot read the model."""
    spec, golden = _description(folder)
    openvino_telemetry.switch_off()
    try:
        import openvino

        compiled = openvino.Core().compile_model(
            str(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        drift = golden.drift(compiled([_model_input(spec.images, golden)])[0].tolist())
    except (ImportError, RuntimeError, ValueError, TypeError, LookupError):
        return None
    return drift if drift > golden.tolerance else None


def main(arguments: list[str]) -> int:
    """Print the report on the folder that the first argument names."""
    from scripts import quiet_tensorflow

    folder, weight_bytes = arguments
    _description(Path(folder))  # what is missing is told before TensorFlow is imported
    with without_keras():
        quiet_tensorflow.start("tensorflow")
    print(json.dumps(report(Path(folder), int(weight_bytes))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
