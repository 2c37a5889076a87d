"""A model of each task behind the stub Serving, named like its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_catalog.spec import SCORE_TASKS, TASKS
from tests.flask_server.stub_serving import Servable, StubServing, tensor

#: The row that a model of each task returns for an image, by output.
ROWS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(SCORE_TASKS, {"y": [0.75, 0.25]}),
    "detection": {
        "detection_boxes": [[0, 0, 0.5, 0.5]],
        "detection_scores": [0.9],
        "detection_classes": [1],
        "num_detections": 1,
    },
    "tensor": {"y": [0.5, float("nan")]},
    "embedding": {"y": [3, 4]},
    "segmentation": {"y": np.eye(4)[..., np.newaxis].tolist()},
}


def serve(serving: StubServing, tasks: Sequence[str] = TASKS) -> str:
    """Give the stub a model of each task, and return their models file; all take 4 x 4 pixels."""
    serving.models |= {task: {1: _servable(ROWS[task])} for task in tasks}
    return "".join(
        f'[models.{task}]\nbase_path = "toy"\ntask = "{task}"\ninput = {{ scale = "none" }}\n'
        for task in tasks
    )


def _servable(row: dict[str, Any]) -> Servable:
    outputs = {name: tensor("DT_FLOAT", (-1, *np.shape(value))) for name, value in row.items()}
    declared = {
        "serving_default": {"inputs": {"x": tensor("DT_FLOAT", (-1, 4, 4, 3))}, "outputs": outputs}
    }
    answer: Any = row["y"] if list(row) == ["y"] else row
    return Servable(None, lambda _: answer, declared=declared)
