"""Find out by its first batch normalisation how the images of a model were scaled in training.

The layer keeps the mean and variance that its input had in training. Photographs that are scaled
in the same way have similar statistics there; another scale changes both by far. The difference is
the Kullback-Leibler divergence of two normal distributions, the median over the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scripts.checks.candidates import Candidate, candidates
from scripts.errors import ScriptError
from scripts.loading import graph

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    from model_catalog.spec import InputSpec

    Scorer = Callable[[tf.Tensor], tf.Tensor]
    Numbers = NDArray[np.float64]

#: Up to this divergence, the statistics of the images are like those of the training images.
_SIMILAR: Final = 0.5
#: Candidates within this factor of the best are not told apart; the second one is for images that
#: are unlike those of the training.
_FACTOR, _FACTOR_UNLIKE = 3.0, 20.0
#: Candidates within this difference of the best are not told apart.
_MARGIN: Final = 0.1


class NoStatistics(ScriptError):
    """The model has no batch normalisation that could tell; the message says why."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far the statistics of a candidate are from those of the training."""

    candidate: Candidate
    value: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """The divergences of all candidates, the smallest first."""

    divergences: tuple[Divergence, ...]
    layer: str

    is_frozen: bool
    """Whether the layer was frozen in training: its statistics are then those of a backbone, which
    was trained before and perhaps with another scale."""

    @property
    def is_similar(self) -> bool:
        """Whether the images are like those of the training under the best candidate."""
        return self.divergences[0].value <= _SIMILAR

    @property
    def plausible(self) -> tuple[Candidate, ...]:
        """The candidates that the statistics do not rule out, the best first."""
        best = self.divergences[0].value
        limit = max(best * (_FACTOR if self.is_similar else _FACTOR_UNLIKE), best + _MARGIN)
        return tuple(d.candidate for d in self.divergences if d.value <= limit)

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales of the plausible candidates, the best first."""
        return tuple(dict.fromkeys(candidate.scale for candidate in self.plausible))

    @property
    def is_swapped(self) -> bool:
        """Whether red and blue were certainly in the other order than the scale has them."""
        return all(candidate.reverses for candidate in self.plausible)

    def of_scales(self) -> dict[str, float]:
        """Return the smaller divergence of both orders by scale, the smallest first."""
        values: dict[str, float] = {}
        for divergence in self.divergences:
            values.setdefault(divergence.candidate.scale, divergence.value)
        return values


def statistics_of(
    model: keras.Model, scores: Scorer, levels: tf.Tensor, spec: InputSpec
) -> Statistics:
    """Compare all candidates for images, or raise NoStatistics.

    ``scores`` runs the model on its input; ``levels`` are floats of 0 to 255 of the input's size.
    """
    layers = [layer for layer in graph.parts(model) if hasattr(layer, "moving_variance")]
    if not layers:
        raise NoStatistics(
            "The model has no batch normalisation, so its statistics cannot tell the scale."
        )
    found = [_divergence(layers, scores, candidate, levels) for candidate in candidates(spec)]
    first = next(layer for layer, _ in found)
    ranked = sorted((divergence for _, divergence in found), key=lambda d: d.value)
    return Statistics(tuple(ranked), first.name, is_frozen=not first.trainable)


def _divergence(
    layers: list[Any], scores: Scorer, candidate: Candidate, levels: tf.Tensor
) -> tuple[Any, Divergence]:
    import numpy as np

    layer, values = _input_of_first(layers, scores, candidate.apply(levels))
    mean, variance = (
        np.asarray(weight, np.float64) for weight in (layer.moving_mean, layer.moving_variance)
    )
    if (mean == 0).all() and (variance == 1).all():
        raise NoStatistics(
            f"The batch normalisation {layer.name} was never trained, so it cannot tell the scale."
        )
    others = tuple(axis for axis in range(values.ndim) if axis != _axis(layer) % values.ndim)
    divergences = _gaussian_kl(
        (values.mean(axis=others), values.var(axis=others) + layer.epsilon),
        (mean, variance + layer.epsilon),
    )
    return layer, Divergence(candidate, float(np.median(divergences)))


def _gaussian_kl(measured: tuple[Numbers, Numbers], kept: tuple[Numbers, Numbers]) -> Numbers:
    """Return the divergence of the kept normal distributions from the measured ones."""
    import numpy as np

    (mean, variance), (kept_mean, kept_variance) = measured, kept
    spread = (variance + (mean - kept_mean) ** 2) / kept_variance
    result: Numbers = 0.5 * (np.log(kept_variance / variance) + spread - 1.0)
    return result


def _axis(layer: Any) -> int:  # noqa: ANN401 - a layer of any Keras
    axis = layer.axis
    return int(axis if isinstance(axis, int) else axis[0])


class _Reached(BaseException):
    """Ends a run of the model at a layer; no handler of Keras for Exceptions catches it."""

    def __init__(self, layer: Any, values: Any) -> None:  # noqa: ANN401
        self.layer = layer
        self.values = values


def _input_of_first(layers: list[Any], scores: Scorer, model_input: tf.Tensor) -> tuple[Any, Any]:
    """Return the first of the layers that a run of the model calls, and its input."""
    import numpy as np

    with _stopping_at(layers):
        try:
            scores(model_input)
        except _Reached as reached:
            return reached.layer, np.asarray(reached.values, np.float64)
    raise NoStatistics(
        "No batch normalisation of the model is called, so it cannot tell the scale."
    )


@contextmanager
def _stopping_at(layers: list[Any]) -> Iterator[None]:
    def stop_at(layer: Any) -> Callable[..., None]:  # noqa: ANN401
        def call(values: Any, *_: object, **__: object) -> None:  # noqa: ANN401
            raise _Reached(layer, values)

        return call

    for layer in layers:
        # Past Keras, which would take the function for a part of the layer.
        object.__setattr__(layer, "call", stop_at(layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
