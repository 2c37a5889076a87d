"""Answer with a picture where a caller would rather look than read."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, g
from PIL import Image

from flask_server.drawing import annotate
from flask_server.imaging import decoding
from flask_server.inference.predict import Upload
from flask_server.web.negotiation import JPEG, PNG
from flask_server.web.request_context import gateway

_KINDS = {PNG: "PNG", JPEG: "JPEG"}


def upright(upload: Upload) -> Image.Image:
    """Decode an upload once more, with no more detail than is shown.

    What the model saw may be far smaller, and other pixels would give it other scores.
    """
    if not isinstance(upload, bytes):
        raise upload
    max_pixels = gateway().settings.max_pixels
    with g.stopwatch.stage("decode"):
        return decoding.decode(upload, max_pixels=max_pixels, bound=annotate.shown_size).image


def picture_answer(image: Image.Image, media_type: str, warnings: Sequence[str]) -> Response:
    """Return the picture as a response; warnings go where it has room for them."""
    response = Response(annotate.to_file(image, _KINDS[media_type]), content_type=media_type)
    if warnings:
        response.headers["X-Model-Warning"] = " ".join(warnings)
    return response
