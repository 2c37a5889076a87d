"""Refuse inputs whose shape does not match the shape that the signature declares.

TensorFlow's convolutions abort the process if the rank is wrong. Only for this project's own
exports: other SavedModels may accept more shapes than they declare.
"""

from __future__ import annotations

from model_server.engines.protocol import Tensors
from model_server.engines.wrapped_model import WrappedModel
from model_server.errors import InvalidArgument


class ShapeCheckedModel(WrappedModel):
    """A loaded model that checks the shapes of its inputs before a run."""

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Run the model, or raise InvalidArgument for an input of another shape."""
        for alias, info in self._model.signatures[signature].inputs.items():
            if info.shape is not None and not _fits(inputs[alias].shape, info.shape):
                raise InvalidArgument(
                    f"{alias} has the shape {list(inputs[alias].shape)};"
                    f" allowed is {list(info.shape)}."
                )
        return self._model.run(signature, inputs, timeout_s)


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(shape) == len(declared) and all(
        wanted in (-1, size) for size, wanted in zip(shape, declared, strict=True)
    )
