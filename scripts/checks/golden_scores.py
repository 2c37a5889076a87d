"""Compute the scores that the source model gives the probe images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from model_catalog.golden import TOLERANCE, TOLERANCE_16_BIT, Golden, GoldenPicture
from scripts import picture_graph
from scripts.checks.probe_pictures import probe_pictures
from scripts.errors import ScriptError
from scripts.loading import graph

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from model_catalog.spec import InputSpec

    Scorer = Callable[[tf.Tensor], tf.Tensor]


def golden_of(scores: Scorer, spec: InputSpec, tolerance: float = TOLERANCE) -> Golden:
    """Return the probe images with the scores of a function from model input to scores.

    Raises ScriptError for scores that are not finite.
    """
    import numpy as np
    import tensorflow as tf

    pictures = probe_pictures(spec)
    levels = tf.constant(list(pictures.values()))
    rows = np.asarray(scores(picture_graph.from_raw_pixels(levels, spec)))
    if not np.isfinite(rows).all():
        raise ScriptError(
            "The model's scores of a test image are not all finite numbers, so nothing can be "
            "served; check its weights."
        )
    # The shortest text of a float32 has half as many digits as that of the same float64.
    golden = [tuple(float(str(score)) for score in row) for row in rows.astype(np.float32)]
    named = zip(pictures.items(), golden, strict=True)
    return Golden(
        tuple(GoldenPicture(name, pixels, row) for (name, pixels), row in named), tolerance
    )


def tolerance_of(model: keras.Model) -> float:
    """Return how far engines may differ: more where layers compute with numbers of 16 bits."""
    formats = {str(getattr(part, "compute_dtype", "float32")) for part in graph.parts(model)}
    return TOLERANCE_16_BIT if formats & {"bfloat16", "float16"} else TOLERANCE
