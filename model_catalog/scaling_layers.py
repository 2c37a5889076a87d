"""Find the layers of Keras that scale pixels inside a SavedModel, by the names of their operations.

Names tell enough: Keras begins the name of an operation with the path of its layer. A layer with a
name of its own is not found.
"""

from __future__ import annotations

import re
from typing import Final

#: Batch, layer and group normalization have a longer name, and do not scale pixels.
_LAYER: Final = re.compile(
    rb"/(rescaling|normalization)(?:_\d+)?/(?:mul|add|sub|truediv|cast|const)", re.IGNORECASE
)


def scaling_layers(graph: bytes) -> list[str]:
    """Return the kinds of layers in a ``saved_model.pb`` that scale pixels, sorted."""
    return sorted({match[1].decode().capitalize() for match in _LAYER.finditer(graph)})
