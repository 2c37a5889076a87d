"""Report how an image was decoded and preprocessed. Pure."""

from __future__ import annotations

from typing import TypedDict

from flask_server.imaging.decoding import DecodedImage
from flask_server.imaging.geometry import crop_box, fitted_size, scaled_box
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


def report_of(image: DecodedImage, spec: InputSpec) -> Report:
    """Return the report of a decoded image that is preprocessed with this spec."""
    upright, size = image.upright_size, image.image.size
    source, box = size, None
    if spec.fit == "crop" and size != (spec.width, spec.height):
        scaled = scaled_box(crop_box(upright, spec), upright, image.covered)
        left, top, right, bottom = (round(side) for side in scaled)
        box = left, top, right, bottom
        source = right - left, bottom - top
    target = fitted_size(upright, spec) if spec.fit == "pad" else (spec.width, spec.height)
    cropped = box is not None and source != size
    return Report(
        format=image.format,
        size=list(upright),
        orientation=image.orientation,
        alpha_flattened=image.flattened,
        converted_from=_if_other(image.stored_mode, MODES[spec.color]),
        shrunk_while_decoding_to=None if size == upright else list(size),
        cropped=list(box) if box is not None and cropped else None,
        resized_from=None if source == target else list(source),
        resized_to=None if source == target else list(target),
        padded=target != (spec.width, spec.height),
    )


def report_of_file(image: DecodedImage) -> Report:
    """Return the report of an image whose file the model gets as it is.

    ``orientation`` is then one that the model itself has to apply.
    """
    return Report(
        format=image.format,
        size=list(image.upright_size),
        orientation=image.orientation,
        alpha_flattened=False,
        converted_from=None,
        shrunk_while_decoding_to=None,
        cropped=None,
        resized_from=None,
        resized_to=None,
        padded=False,
    )


def _if_other(stored_mode: str, mode: str) -> str | None:
    return None if stored_mode == mode else stored_mode
