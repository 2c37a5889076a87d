"""Check the method name of a signature that Predict runs. Pure."""

from __future__ import annotations

from typing import Final

from model_server.engines.protocol import Signature
from model_server.errors import Internal

_ALLOWED: Final = tuple(f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress"))


def check_method(signature: Signature) -> None:
    """Raise Internal, as TensorFlow Serving does, if the method name is none that it knows."""
    if signature.method_name not in _ALLOWED:
        raise Internal(
            "Expected prediction signature method_name to be one of"
            f" {{{', '.join(_ALLOWED)}}}. Was: {signature.method_name}"
        )
