"""Make a span of each run of a model, where tracing is on."""

from __future__ import annotations

from model_server.engines.protocol import Tensors
from model_server.engines.wrapped_model import WrappedModel
from serving_tracing import spans


class TracedModel(WrappedModel):
    """A loaded model whose runs are spans of the trace that they belong to."""

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Run the model."""
        with spans.span("inference"):
            return self._model.run(signature, inputs, timeout_s)
