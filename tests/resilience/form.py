"""The quick and the long form of the tests."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Form:
    """How long and how hard the tests try."""

    engines: tuple[str, ...]
    swaps: int
    """Version swaps for each engine, rollbacks included."""

    warm_swaps: int
    """Swaps until the servers should use no more memory, threads or descriptors."""

    clients: int
    """Connections of the load on each gateway."""

    fault_s: float
    """Seconds that a fault lasts."""

    deadline_s: float
    """``GATEWAY_DEADLINE_S``."""

    poll_s: float
    """``GATEWAY_POLL_INTERVAL_S``."""

    capacity_s: float
    """Seconds in which the capacity is measured."""

    overloads: tuple[float, ...]
    """Rates of requests, as multiples of the capacity."""

    overload_s: float
    """Seconds of each overload."""

    calm_s: float
    """Seconds at half the capacity after each overload."""

    large_images_s: float
    """``GATEWAY_DEADLINE_S`` for images that take all memory."""


IS_LONG = os.environ.get("RESILIENCE") == "long"
LONG = Form(
    engines=("openvino", "tensorflow"),
    swaps=50,
    warm_swaps=10,
    clients=16,
    fault_s=3,
    deadline_s=3,
    poll_s=1,
    capacity_s=18,
    overloads=(1, 2, 5, 10),
    overload_s=60,
    calm_s=4,
    large_images_s=10,
)
QUICK = Form(
    engines=("openvino",),
    swaps=3,
    warm_swaps=1,
    clients=4,
    fault_s=0.3,
    deadline_s=0.8,
    poll_s=0.2,
    capacity_s=1.2,
    overloads=(5,),
    overload_s=1.5,
    calm_s=0.5,
    large_images_s=1.5,
)
FORM = LONG if IS_LONG else QUICK
long = pytest.mark.skipif(not IS_LONG, reason="make resilience runs it")
