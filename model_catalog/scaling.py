"""The numbers by which each ``scale`` of a model spec turns pixels from 0 to 255 into inputs.

``(pixels / divisor - mean) / deviation``, channel by channel; ``reverses`` turns red, green, blue
into blue, green, red before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Divisor, mean and standard deviation, per channel or for all channels."""

    divisor: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    reverses: bool = False


#: One entry per name in ``spec.SCALES``; the statistics are those of keras.applications.
SCALINGS: Final = {
    "tf": Scaling(divisor=127.5, mean=(1.0,)),
    "unit": Scaling(divisor=255.0),
    "caffe": Scaling(mean=(103.939, 116.779, 123.68), reverses=True),
    "torch": Scaling(divisor=255.0, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
    "none": Scaling(),
}
