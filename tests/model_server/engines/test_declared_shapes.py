"""Inputs of a wrong shape are refused before an engine sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model_server.engines.declared_shapes import ShapeCheckedModel
from model_server.engines.protocol import Tensors
from model_server.errors import InvalidArgument
from tests.model_server.toy import ToyModel, signature

ROOT = Path(__file__).parents[3]

#: TensorFlow would end the process that asks it, so it is another one.
ASK = """
import sys
from pathlib import Path
import numpy as np
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.errors import InvalidArgument
from model_server.metrics import Metrics
from model_server.models.model_loader import ModelLoader

engine = TensorFlowEngine(TensorFlowOptions())
model = ModelLoader(engine=engine, metrics=Metrics()).load(Path(sys.argv[1]))
for shape in [(1,), (1, 1), (), (0,), (2, 0), (1, 32, 32, 1)]:
    try:
        model.run("serving_default", {"input_image": np.zeros(shape, np.float32)})
        print("answered")
    except InvalidArgument as error:
        print("refused", error)
"""


def model(shape: tuple[int, ...] | None) -> ShapeCheckedModel:
    def same(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"]}

    declared = {"serving_default": signature({"x": "float"}, {"y": "float"}, shape)}
    return ShapeCheckedModel(ToyModel(declared, {"serving_default": same}))


@pytest.mark.parametrize(
    ("declared", "shape"),
    [((-1, 2), (0, 2)), ((-1, 2), (5, 2)), ((-1, -1), (1, 9)), (None, (3, 4, 5)), ((), ())],
)
def test_inputs_of_the_declared_shape_are_run(
    declared: tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    inputs = {"x": np.zeros(shape, np.float32)}

    assert model(declared).run("serving_default", inputs)["y"].shape == shape


@pytest.mark.parametrize(
    ("declared", "shape"), [((-1, 2), (2,)), ((-1, 2), (1, 3)), ((-1,), ()), ((-1, 2), (1, 2, 1))]
)
def test_inputs_of_another_shape_are_refused(
    declared: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        model(declared).run("serving_default", {"x": np.zeros(shape, np.float32)})

    assert caught.value.message == f"x has the shape {list(shape)}; allowed is {list(declared)}."


@pytest.mark.slow
def test_with_tensorflow_no_shape_aborts_the_process() -> None:
    command = [sys.executable, "-c", ASK, str(ROOT / "my_digit_classifier" / "1")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr[-2000:]
    *refused, answered = done.stdout.splitlines()
    assert all(line.startswith("refused") for line in refused)
    assert (len(refused), answered) == (5, "answered")
