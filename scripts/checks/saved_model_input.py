"""Tell what a SavedModel of another tool does to the pixels of its input, as far as its graph says.

Nothing is loaded or run, so TensorFlow is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from model_catalog.pixel_operations import PixelOperations, pixel_operations
from model_catalog.signatures import Tensor, read_signature
from scripts.errors import ScriptError

SAVED_MODEL = "saved_model.pb"

#: TensorFlow's number of the type of strings, and its names of the types of floats.
_STRING, _FLOATS = 7, {1: "float32", 2: "float64", 14: "bfloat16", 19: "float16"}

_UNSEEN = (
    "Not seen: the values of variables, what a loop does to each image, and the scale of the"
    " training where the graph has none."
)


def report(folder: Path, signature: str, scale: str | None) -> Iterator[str]:
    """Yield the lines about a version folder; ``scale`` is how its pixels are scaled before.

    Raises ScriptError for a SavedModel without that signature, DamagedGraph for a torn file.
    """
    graph = (folder / SAVED_MODEL).read_bytes()
    inputs = read_signature(graph, signature).inputs
    if not inputs:
        raise ScriptError(f"{folder} has no signature {signature} with inputs.")
    for tensor in inputs:
        shape = [-1 if size is None else size for size in tensor.shape]
        yield f"{signature}: input {tensor.name} of {_kind(tensor)} {shape}"
        found = pixel_operations(graph, signature, tensor.name)
        if found is not None:
            yield from _of_input(found)
        yield from _advice(tensor, found, scale)
    yield _UNSEEN


def _kind(tensor: Tensor) -> str:
    return "strings" if tensor.dtype == _STRING else _FLOATS.get(tensor.dtype, "integers")


def _of_input(found: PixelOperations) -> Iterator[str]:
    if found.is_complete:
        yield f"  before its first layer ({found.end}): {_steps(found)}"
    else:
        yield f"  first: {_steps(found)}"
        end = f" to {found.end}" if found.end else ""
        yield f"  The graph can be followed{end}; what comes after it is not seen."
    if found.scales:
        low, high = found.value_range()
        yield f"  Pixels from 0 to 255 become numbers from {low:.3g} to {high:.3g}."


def _steps(found: PixelOperations) -> str:
    return "; ".join(found.steps) or "nothing"


def _advice(tensor: Tensor, found: PixelOperations | None, scale: str | None) -> Iterator[str]:
    if tensor.dtype not in _FLOATS:
        yield "  It gets files or pixels from 0 to 255 as they are; scale has no effect."
    elif found is None or not (found.scales or found.is_complete):
        yield "  Whether it scales pixels is not known."
    elif found.is_for_raw_pixels:
        yield '  It scales pixels itself: input = { scale = "none" }'
        if scale not in (None, "none"):
            yield f"  warning: with scale {scale} pixels are scaled twice"
    elif found.scales:
        yield "  Its own numbers are for pixels that were scaled before."
    else:
        yield "  It takes pixels as the training had them; its file does not tell the scale."
