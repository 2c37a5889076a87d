"""Tell a caller what was done to a picture before the model saw it. Pure."""

from __future__ import annotations

from typing import TypedDict

from flask_server.imaging.decoding import Picture
from flask_server.imaging.preprocessing import MODES, crop_box, inside
from model_catalog.spec import InputSpec

Size = list[int]


class Report(TypedDict):
    """Sizes are [width, height] of the upright picture; null means that it was not done."""

    format: str
    size: Size
    orientation: int
    alpha_flattened: bool
    converted_from: str | None
    shrunk_while_decoding_to: Size | None
    cropped: list[int] | None
    resized_from: Size | None
    resized_to: Size | None
    padded: bool


def report_of(picture: Picture, spec: InputSpec) -> Report:
    """Return what decoding did and what preprocessing with this spec does."""
    upright, decoded = picture.upright_size, picture.image.size
    source, box = decoded, None
    if spec.fit == "crop" and decoded != (spec.width, spec.height):
        box = crop_box(decoded, spec)
        source = box[2] - box[0], box[3] - box[1]
    target = inside(decoded, spec) if spec.fit == "pad" else (spec.width, spec.height)
    cropped = box is not None and source != decoded
    return Report(
        format=picture.format,
        size=list(upright),
        orientation=picture.orientation,
        alpha_flattened=picture.flattened,
        converted_from=_other(picture.stored_mode, MODES[spec.color]),
        shrunk_while_decoding_to=None if decoded == upright else list(decoded),
        cropped=list(box) if box is not None and cropped else None,
        resized_from=None if source == target else list(source),
        resized_to=None if source == target else list(target),
        padded=target != (spec.width, spec.height),
    )


def _other(stored: str, wanted: str) -> str | None:
    return None if stored == wanted else stored
