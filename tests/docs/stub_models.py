"""A model server with the models of docs/tasks.md and docs/detection.md; prints its address."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from tests.flask_server.stub_serving import Servable, StubServing, tensor

#: What each model answers for one image or tensor, by output.
ROWS: Mapping[str, Mapping[str, Any]] = {
    "net": {"y": [0.25, 0.75]},
    "faces": {"y": [3, 4, 0]},
    "streets": {"y": [[[0, 1]] * 4, *[[[1, 0]] * 4] * 3]},
    "detector": {
        "detection_boxes": [[120 / 480, 34 / 640, 246 / 480, 310 / 640]],
        "detection_scores": [0.91],
        "detection_classes": [3],
        "num_detections": 1,
    },
}
SHAPES: Mapping[str, Sequence[int]] = {"net": (2, 2)}
IMAGES = (4, 4, 3)
MODELS = """
[models.net]
task = "tensor"
[models.faces]
task = "embedding"
input = { scale = "unit" }
[models.streets]
task = "segmentation"
input = { scale = "unit" }
labels = "streets.txt"
[models.detector]
task = "detection"
labels = "coco.pbtxt"
input = { fit = "stretch" }
"""


def servable(name: str) -> Servable:
    """Return the only version of a model."""
    row = ROWS[name]
    answer: Any = row["y"] if list(row) == ["y"] else row
    inputs = {"x": tensor("DT_FLOAT", (-1, *SHAPES.get(name, IMAGES)))}
    outputs = {key: tensor("DT_FLOAT", (-1, *_shape(value))) for key, value in row.items()}
    declared = {"serving_default": {"inputs": inputs, "outputs": outputs}}
    return Servable(None, lambda _: answer, declared=declared)


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, list) else ()


def models_file(address: str) -> str:
    """Return the models file for a server at this address."""
    return MODELS.replace("]\ntask", f']\nbase_path = "x"\nserving_url = "{address}"\ntask')


if __name__ == "__main__":
    stub = StubServing()
    stub.models = {name: {1: servable(name)} for name in ROWS}
    with stub.running():
        print(stub.url, flush=True)  # noqa: T201 - its first and only output
        signal.pause()
