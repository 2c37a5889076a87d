"""A toy engine: models of a few lines of numpy, described by a file in the version folder.

``python -m tests.model_server.toy --rest_api_port=…`` is the whole server with this engine, so
stories about processes need no TensorFlow.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model_server.__main__ import main
from model_server.engines.protocol import Signature, TensorInfo, Tensors
from model_server.errors import BY_CODE, InvalidArgument, NotFound

Function = Callable[[Tensors], Tensors]

FILE = "toy.json"


def signature(
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    shape: tuple[int, ...] | None = (-1,),
    method: str = "predict",
) -> Signature:
    """Return a signature with inputs and outputs of the given types."""
    return Signature(
        {name: TensorInfo(f"{name}:0", dtype, shape) for name, dtype in inputs.items()},
        {name: TensorInfo(f"{name}_out:0", dtype, shape) for name, dtype in outputs.items()},
        f"tensorflow/serving/{method}",
    )


@dataclass(eq=False)
class ToyModel:
    """A model whose signatures are Python functions."""

    signatures: Mapping[str, Signature]
    functions: Mapping[str, Function]
    calls: MutableSequence[Tensors] = field(default_factory=list)
    is_closed: bool = False
    engine: str = "toy; precision=f32"

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Call the function of the signature."""
        assert not self.is_closed, "a closed model was run"
        self.calls.append(inputs)
        return self.functions[signature](inputs)

    def close(self) -> None:
        """Take note."""
        self.is_closed = True


def one(function: Function, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> ToyModel:
    """Return a model with nothing but ``serving_default``."""
    return ToyModel({"serving_default": signature(inputs, outputs)}, {"serving_default": function})


def half_plus(addend: float, delay_s: float = 0.0) -> ToyModel:
    """Return a model that halves its floats and adds a number, in its own time."""

    def function(inputs: Tensors) -> Tensors:
        _pause("running", delay_s)
        return {"y": inputs["x"] * np.float32(0.5) + np.float32(addend)}

    return one(function, {"x": "float"}, {"y": "float"})


def picky(inputs: Tensors) -> Tensors:
    """Return the floats, unless one of them is negative."""
    if (inputs["x"] < 0).any():
        raise InvalidArgument("x must not be negative")
    return {"y": inputs["x"]}


def failing(code: str) -> ToyModel:
    """A model that raises the error of a code."""

    def function(_: object) -> Tensors:
        raise BY_CODE[code](f"the model says {code}")

    return one(function, {"x": "float"}, {"y": "float"})


def broken(_: object) -> Tensors:
    """A function with a bug."""
    raise ZeroDivisionError


def _pause(work: str, seconds: float) -> None:
    """Work for so long, and tell in the log of the server that the work has begun."""
    if seconds:
        sys.stderr.write(f"toy: {work}\n")
        sys.stderr.flush()
        time.sleep(seconds)


@dataclass
class ToyEngine:
    """Loads version folders that hold a ``toy.json``."""

    loads: list[Path] = field(default_factory=list)
    gate: threading.Event | None = None

    def load(self, path: Path) -> ToyModel:
        """Load a version as its file says: ``plus``, ``delay_s``, ``load_s`` or ``fail``."""
        gate = self.gate  # which a test may replace as soon as it sees the load
        self.loads.append(path)
        if gate is not None:
            gate.wait(60)
        try:
            recipe = json.loads((path / FILE).read_text())
        except OSError as error:
            raise NotFound(f"no {FILE} in {path}") from error
        if "fail" in recipe:
            raise BY_CODE[recipe["fail"]]("it was told to")
        _pause("loading", recipe.get("load_s", 0))
        model = half_plus(recipe.get("plus", 0.0), recipe.get("delay_s", 0.0))
        model.calls = deque(maxlen=0)  # nobody looks at them, and they may be large
        return model


def write_version(base: Path, name: int | str, **recipe: object) -> Path:
    """Write a version folder elsewhere and rename it into place, as a careful exporter does."""
    base.mkdir(parents=True, exist_ok=True)
    hidden = base.parent / f".{base.name}-{name}.tmp"
    hidden.mkdir()
    (hidden / FILE).write_text(json.dumps(recipe))
    return hidden.rename(base / str(name))


if __name__ == "__main__":
    sys.exit(main(engine=ToyEngine()))
