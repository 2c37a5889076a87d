"""The ways in which images may have been scaled for a model: a scale and an order of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_catalog.spec import SCALES, InputSpec
from scripts import picture_graph

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to scale images."""

    scale: str

    reverses: bool = False
    """Whether the channels are in the other order than the scale of the spec has them."""

    def __str__(self) -> str:
        return f"{self.scale} with red and blue swapped" if self.reverses else self.scale

    def apply(self, levels: tf.Tensor) -> tf.Tensor:
        """Return model input for float levels of 0 to 255, shape [N, height, width, channels]."""
        return picture_graph.SCALING[self.scale](levels[..., ::-1] if self.reverses else levels)


def candidates(spec: InputSpec) -> tuple[Candidate, ...]:
    """Return all candidates for images of the spec's colour mode."""
    if spec.color != "rgb":
        # SCALES of three channels have no meaning for one.
        return tuple(Candidate(scale) for scale in SCALES if scale not in {"caffe", "torch"})
    return tuple(Candidate(scale, reverses) for reverses in (False, True) for scale in SCALES)
