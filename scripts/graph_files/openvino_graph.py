"""Read and run a ``.tflite`` or frozen ``.pb`` file with OpenVINO."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.errors import ScriptError
from scripts.openvino_core import core, openvino

#: Longest part of OpenVINO's own message that is shown.
_REASON = 200
#: Beginnings of lines in OpenVINO's messages that do not help.
_NOISE = ("Exception from", "Check '", "FrontEnd API failed")
#: OpenVINO's message for a file of no format that it knows.
_UNREADABLE = "Unable to read the model"
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of the graph."""

    name: str
    dtype: str

    shape: tuple[int | None, ...] | None
    """None for a size, or for the shape, that the graph leaves open."""

    def __str__(self) -> str:
        sizes = "any" if self.shape is None else [-1 if n is None else n for n in self.shape]
        return f"{self.name} ({self.dtype}, {sizes})"


class OpenVINOGraph:
    """A graph file that OpenVINO has read; raises ScriptError where OpenVINO fails."""

    def __init__(self, path: Path) -> None:
        with _translated(path):
            self._path = path
            self._model = core().read_model(str(path))
            self.inputs = [_tensor(port) for port in self._model.inputs]
            self.outputs = [_tensor(port) for port in self._model.outputs]

    def run(
        self, source: str, result: str, images: NDArray[Any], *, at_once: bool
    ) -> NDArray[np.float32]:
        """Return one row of outputs per image, computed in one run or in a run for each."""
        with _translated(self._path):
            compiled = self._compiled(source, result, [-1 if at_once else 1, *images.shape[1:]])
            parts = [images] if at_once else [images[at : at + 1] for at in range(len(images))]
            rows = [compiled([np.ascontiguousarray(part)])[0].copy() for part in parts]
            return np.concatenate(rows).reshape(len(images), -1).astype(np.float32)

    def takes_batches(self, source: str, result: str, images: NDArray[Any]) -> bool:
        """Tell whether images together get the outputs that each of them gets alone."""
        alone = self.run(source, result, images, at_once=False)
        try:
            together = self.run(source, result, images, at_once=True)
        except (ScriptError, ValueError):
            return False
        return together.shape == alone.shape and np.allclose(together, alone, atol=_TOLERANCE)

    def _compiled(self, source: str, result: str, shape: Sequence[int]) -> Any:  # noqa: ANN401
        # As the server does it, the part of the graph that computes the output is compiled.
        node = self._model.input(source).get_node()
        model = openvino().Model([self._model.output(result)], [node])
        model.reshape({source: list(shape)})
        return core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _tensor(port: Any) -> Tensor:  # noqa: ANN401 - openvino.Output
    shape = port.get_partial_shape()
    sizes = None if shape.rank.is_dynamic else tuple(map(_size, shape))
    # Of several names, the shortest is the one that the file gives to the output.
    name = min(port.get_names(), key=lambda name: (len(name), name))
    return Tensor(name, port.get_element_type().to_dtype().name, sizes)


def _size(dimension: Any) -> int | None:  # noqa: ANN401 - openvino.Dimension
    return None if dimension.is_dynamic else int(dimension.get_length())


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if _UNREADABLE in str(error):
            raise ScriptError(
                f"{path} is no frozen graph and no TensorFlow Lite file that OpenVINO reads."
            ) from error
        lines = [line.strip() for line in str(error).splitlines()]
        said = [line for line in lines if line and not line.startswith(_NOISE)]
        reason = textwrap.shorten(" ".join(said) or "no reason given", _REASON, placeholder=" …")
        raise ScriptError(f"OpenVINO cannot run {path}: {reason}") from error
