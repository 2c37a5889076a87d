"""Decode raw pixels (one byte per value) into model input, scaled as a model spec says. Pure.

The arithmetic repeats the ``pixels`` signature of the SavedModel step by step, so both give the
same floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_catalog.scaling import SCALINGS
from model_catalog.spec import InputSpec
from model_server.errors import InvalidArgument

Floats = NDArray[np.float32]


def check_pixels(strings: NDArray[Any], spec: InputSpec) -> None:
    """Raise InvalidArgument unless each string has height x width x channels bytes."""
    if strings.ndim != 1:
        raise InvalidArgument(
            f"pixels has the shape {list(strings.shape)}; allowed is [-1], one string per image."
        )
    allowed = spec.height * spec.width * spec.channels
    for index, data in enumerate(strings):
        if len(data) != allowed:
            raise InvalidArgument(
                f"pixels[{index}] has {len(data)} bytes; allowed are {allowed}:"
                f" height {spec.height} x width {spec.width} x {spec.channels} channels."
            )


def scaler(spec: InputSpec) -> Callable[[NDArray[Any]], Floats]:
    """Return a function from checked strings to floats of shape [N, height, width, channels]."""
    scaling = SCALINGS[spec.scale]
    width = spec.width * spec.channels
    steps = [
        (step, _operand(numbers, width))
        for step, numbers, neutral in (
            (np.divide, [scaling.divisor], 1.0),
            (np.subtract, scaling.mean, 0.0),
            (np.divide, scaling.deviation, 1.0),
        )
        if any(number != neutral for number in numbers)
    ]

    def scaled(strings: NDArray[Any]) -> Floats:
        levels = np.frombuffer(b"".join(strings), np.uint8)
        if scaling.reverses:
            levels = levels.reshape(-1, spec.channels)[:, ::-1]
        values = levels.astype(np.float32, order="C").reshape(-1, spec.height, width)
        for step, row in steps:
            step(values, row, out=values)
        return values.reshape(-1, spec.height, spec.width, spec.channels)

    return scaled


def _operand(numbers: Sequence[float], width: int) -> Floats:
    """Return one number for all values, or one number per column of width x channels.

    Broadcasting over the three channels would take ten times as long as over columns.
    """
    operand = np.array(numbers, np.float32)
    return operand if operand.size == 1 else np.resize(operand, width)
