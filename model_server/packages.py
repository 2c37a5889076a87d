"""Name the packages that the server imports at once; an engine is imported for a model."""

from __future__ import annotations

from model_catalog.installation import require


def require_packages() -> None:
    """End the program with one sentence if a package is not installed."""
    require("openvino", "numpy", "orjson", "pybase64", "google.protobuf")
