"""Turn logits into probabilities. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float = TypeVar("Float", np.float32, np.float64)


def softmax(rows: NDArray[Float]) -> NDArray[Float]:
    """Return the probabilities of rows of logits; each row adds up to 1."""
    import numpy as np

    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
