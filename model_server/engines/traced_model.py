"""Make a span of each run of a model, where tracing is on."""

from __future__ import annotations

from collections.abc import Mapping

from model_server.engines.protocol import LoadedModel, Signature, Tensors
from serving_tracing import spans


class TracedModel:
    """A loaded model whose runs are spans of the trace that they belong to."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the model."""
        return self._model.signatures

    @property
    def engine(self) -> str:
        """The engine of the model."""
        return self._model.engine

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Run the model."""
        with spans.span("inference"):
            return self._model.run(signature, inputs, timeout_s)

    def close(self) -> None:
        """Close the model."""
        self._model.close()
