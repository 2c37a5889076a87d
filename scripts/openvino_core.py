"""Import OpenVINO when it is first needed, and keep the only core of the process."""

from __future__ import annotations

from functools import cache
from typing import Any

from model_catalog import openvino_telemetry


def openvino() -> Any:  # noqa: ANN401 - the module
    """Return the package, or raise ImportError."""
    openvino_telemetry.switch_off()
    import openvino

    return openvino


@cache
def core() -> Any:  # noqa: ANN401 - openvino.Core
    """Return the only core of the process: a freed core takes the thread's signal stack with it."""
    return openvino().Core()
