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


IS_LONG = os.environ.get("RESILIENCE") == "long"
FORM = (
    Form(("openvino", "tensorflow"), 50, 10, 16, fault_s=3, deadline_s=3, poll_s=1)
    if IS_LONG
    else Form(("openvino",), 3, 1, 4, fault_s=0.3, deadline_s=0.8, poll_s=0.2)
)
long = pytest.mark.skipif(not IS_LONG, reason="make resilience runs it")
