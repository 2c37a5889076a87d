"""Find the activation that a Keras model applies to its scores: softmax, sigmoid or none.

The graph is followed from the output back to the operation that decides, past operations that keep
probabilities as they are. Both layers and functional operations such as ``keras.ops.softmax``
count. Where the graph does not tell, the scores of noise images do: those of a softmax add up to 1,
those of a sigmoid lie between 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.loading import graph

if TYPE_CHECKING:
    from typing import Any

    import keras
    from numpy.typing import NDArray

#: Activation by the name of an activation function; the softmax of a log-softmax is the softmax.
_BY_FUNCTION = {
    "softmax": "softmax",
    "sparsemax": "softmax",
    "log_softmax": "none",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "linear": "none",
}
#: The same by the kind of an operation or layer.
_BY_KIND = {
    "Softmax": "softmax",
    "Sparsemax": "softmax",
    "LogSoftmax": "none",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "sigmoid",
}
#: Kinds of operations after which probabilities are still probabilities of the same classes.
_KEEPING = {"Average", "Cast", "Clip", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze"}
_IMAGES = 3
#: Largest distance of a sum of probabilities from 1, for models that compute in 16 bits.
_TOLERANCE = 0.01


def in_graph(model: keras.Model) -> str | None:
    """Return the activation that the graph states, or None where it does not tell."""
    return of_tensor(model.outputs[0])


def last_operation(model: keras.Model) -> str:
    """Return the kind of the operation that computes the output."""
    return graph.kind(graph.producer(model.outputs[0])[0])


def of_tensor(tensor: keras.KerasTensor) -> str | None:
    """Return the activation of the operation that computes the tensor, if it can be told."""
    operation, _, position = graph.producer(tensor)
    inner = getattr(operation, "outputs", None)
    if inner:
        return of_tensor(inner[position])
    if not _keeps(operation):
        return _stated(operation)
    found = {of_tensor(source) for source in graph.sources(tensor)}
    return found.pop() if len(found) == 1 else None


def _keeps(operation: keras.Operation) -> bool:
    """Tell whether the operation returns probabilities if its input is probabilities."""
    if graph.kind(operation) == "Activation":
        return _stated(operation) == "none"
    return graph.kind(operation) in _KEEPING


def _stated(operation: keras.Operation) -> str | None:
    if graph.kind(operation) in _BY_KIND:
        return _BY_KIND[graph.kind(operation)]
    function = getattr(operation, "activation", None)
    return _BY_FUNCTION.get(getattr(function, "__name__", ""))


def of_noise(model: keras.Model, height: int, width: int) -> str | None:
    """Return the activation that the scores of a few noise images have, or None if neither."""
    import numpy as np
    import tensorflow as tf

    _, _, _, channels = model.inputs[0].shape
    levels = np.random.default_rng(0).uniform(-1, 1, (_IMAGES, height, width, channels or 3))
    dtype = tf.as_dtype(model.inputs[0].dtype).as_numpy_dtype
    return of_scores(np.asarray(model(levels.astype(dtype), training=False), np.float64))


def of_scores(scores: NDArray[Any], step: float = 0.0) -> str | None:
    """Return the activation that rows of scores have, or None if they are no probabilities.

    ``step`` is the difference between neighbouring scores that were quantised.
    """
    if not ((scores >= 0) & (scores <= 1 + _TOLERANCE)).all():
        return None
    # The square root: of many scores, some are rounded up and some down.
    tolerance = _TOLERANCE + step * scores.shape[-1] ** 0.5
    is_distribution = (abs(scores.sum(axis=-1) - 1) <= tolerance).all()
    return "softmax" if is_distribution and scores.shape[-1] > 1 else "sigmoid"
