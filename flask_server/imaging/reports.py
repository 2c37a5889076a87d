"""Report how an image was decoded and preprocessed. Pure."""

from __future__ import annotations

from typing import TypedDict

from flask_server.imaging.decoding import Picture
from flask_server.imaging.geometry import crop_box, fitted_size
from flask_server.imaging.preprocessing import MODES
from model_catalog.spec import InputSpec


class Report(TypedDict):
    """The JSON object ``report`` of a response.

    Sizes are [width, height] of the upright image, ``cropped`` is [left, top, right, bottom]; None
    means that the step was not needed.
    """

    format: str
    size: list[int]
    orientation: int
    alpha_flattened: bool
    converted_from: str | None
    shrunk_while_decoding_to: list[int] | None
    cropped: list[int] | None
    resized_from: list[int] | None
    resized_to: list[int] | None
    padded: bool


def report_of(picture: Picture, spec: InputSpec) -> Report:
    """Return the report of a decoded image that is preprocessed with this spec."""
    upright, decoded = picture.upright_size, picture.image.size
    source, box = decoded, None
    if spec.fit == "crop" and decoded != (spec.width, spec.height):
        box = crop_box(decoded, spec)
        source = box[2] - box[0], box[3] - box[1]
    target = fitted_size(decoded, spec) if spec.fit == "pad" else (spec.width, spec.height)
    cropped = box is not None and source != decoded
    return Report(
        format=picture.format,
        size=list(upright),
        orientation=picture.orientation,
        alpha_flattened=picture.flattened,
        converted_from=_if_other(picture.stored_mode, MODES[spec.color]),
        shrunk_while_decoding_to=None if decoded == upright else list(decoded),
        cropped=list(box) if box is not None and cropped else None,
        resized_from=None if source == target else list(source),
        resized_to=None if source == target else list(target),
        padded=target != (spec.width, spec.height),
    )


def _if_other(stored_mode: str, mode: str) -> str | None:
    return None if stored_mode == mode else stored_mode
