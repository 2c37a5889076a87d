"""EfficientNet-Lite0: its layers with weights, and where PyTorch's file has these weights.

Standard library and NumPy only, so that the weights can be prepared without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NAME: Final = "efficientnet_lite0"
SIDE: Final = 224
CLASSES: Final = 1000
STEM_FILTERS: Final = 32
HEAD_FILTERS: Final = 1280


class Stage(NamedTuple):
    """Blocks in a row with equal windows; only the first one may have strides."""

    blocks: int
    window: int
    strides: int
    expansion: int
    filters: int


STAGES: Final = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class Source(NamedTuple):
    """A tensor of PyTorch's file, and the order of its axes in Keras."""

    tensor: str
    axes: tuple[int, ...]

    def of(self, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the tensor in Keras's layout, contiguous."""
        layout = tensors[self.tensor].transpose(self.axes)
        return np.ascontiguousarray(layout, dtype=np.float32)


#: Names and axes of the tensors of a layer, in the order of Keras's ``layer.weights``.
_TENSORS: Final = {
    "conv": (("weight", (2, 3, 1, 0)),),
    "depthwise_conv": (("weight", (2, 3, 0, 1)),),
    "bn": (("weight", (0,)), ("bias", (0,)), ("running_mean", (0,)), ("running_var", (0,))),
    "fc": (("weight", (1, 0)), ("bias", (0,))),
}


def sources(layer: str) -> tuple[Source, ...]:
    """Return where the weights of a Keras layer come from; its name is PyTorch's, without ``_``.

    For example ``blocks.3.expand_conv`` has the tensor ``_blocks.3._expand_conv.weight``.
    """
    prefix = ".".join(part if part.isdecimal() else f"_{part}" for part in layer.split("."))
    return tuple(Source(f"{prefix}.{tensor}", axes) for tensor, axes in _TENSORS[_kind(layer)])


def _kind(layer: str) -> str:
    last = layer.rpartition(".")[2].rstrip("0123456789")
    return last if last in _TENSORS else "conv"


def layer_names() -> Iterator[str]:
    """Yield the names of all layers with weights, from the input to the output."""
    yield from ("conv_stem", "bn0")
    expansions = [stage.expansion for stage in STAGES for _ in range(stage.blocks)]
    for number, expansion in enumerate(expansions):
        if expansion > 1:
            yield from (f"blocks.{number}.expand_conv", f"blocks.{number}.bn0")
        for part in ("depthwise_conv", "bn1", "project_conv", "bn2"):
            yield f"blocks.{number}.{part}"
    yield from ("conv_head", "bn1", "fc")


def variables(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the weights of all layers in a row, as TensorFlow's file of variables begins."""
    return b"".join(
        source.of(tensors).tobytes() for layer in layer_names() for source in sources(layer)
    )
