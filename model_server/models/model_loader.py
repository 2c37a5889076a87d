"""Load a version with the engine, warm it up and wrap it in the kind of batching that applies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_server.batching.adaptive import AdaptiveModel
from model_server.batching.parameters import PARAMETERS_FILE, options, read_parameters
from model_server.batching.scheduler import BatchedModel, BatchingOptions, BatchScheduler
from model_server.engines.declared_shapes import ShapeCheckedModel
from model_server.engines.export_model import read_spec
from model_server.engines.protocol import Engine, LoadedModel
from model_server.engines.traced_model import TracedModel
from model_server.errors import ModelServerError
from model_server.internal_errors import as_internal_error
from model_server.metrics import Metrics
from model_server.models.warmup import warm_up, warm_up_pixels
from serving_tracing import spans


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """Settings of --enable_batching."""

    scheduler: BatchScheduler
    options: BatchingOptions

    per_model: bool = False
    """Reads the options from the version folder; versions without such a file are not batched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelLoader:
    """Turns a version folder into a model that is ready to serve."""

    engine: Engine
    metrics: Metrics
    batching: Batching | None = None

    streams: int = 1
    """Number of runs of a model that the engine computes in parallel."""

    runs_warmup: bool = True
    warmup_iterations: int = 1

    def load(self, path: Path) -> LoadedModel:
        """Return the model in the version folder, ready to serve, or raise a ModelServerError."""
        with as_internal_error(f"loading {path}"):
            model = self.engine.load(path)
        try:
            with as_internal_error(f"preparing {path}"):
                return self._prepared(model, path)
        except ModelServerError:
            model.close()
            raise

    def _prepared(self, model: LoadedModel, path: Path) -> LoadedModel:
        spec = read_spec(path)
        if self.runs_warmup:
            with self.metrics.timed("model_warmup_latency", str(path), "OK"):
                warm_up(model, path, self.warmup_iterations)
                if spec is not None:
                    warm_up_pixels(model, spec)
        if spans.active():
            model = TracedModel(model)
        if spec is not None:
            model = ShapeCheckedModel(model)
        if self.batching is not None:
            return _batched(model, path, self.batching)
        if spec is None:
            return model
        # One run more than the engine computes, so that its inputs are ready when a stream is free.
        return AdaptiveModel(model, max_in_flight=self.streams + 1)


def _batched(model: LoadedModel, path: Path, batching: Batching) -> LoadedModel:
    if not batching.per_model:
        return BatchedModel(model, batching.scheduler, batching.options)
    file = path / PARAMETERS_FILE
    if not file.is_file():
        return model
    own = options(read_parameters(file), batching.options.queue_timeout_s)
    return BatchedModel(model, batching.scheduler, own)
