"""Keep OpenVINO from reporting its use.

``import openvino`` alone sends an event to its makers, and writes an identifier of the user and a
number of uses into ``~/intel``, through the package ``openvino-telemetry`` that it depends on.
Where that package cannot be imported, OpenVINO has a stub in its place that does nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

_PACKAGE = "openvino_telemetry"


def switch_off() -> None:
    """Keep this process from importing the package; called before ``import openvino``."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules.setdefault(_PACKAGE, None)
