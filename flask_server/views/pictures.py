"""Decode an image for drawing, and send the drawn image as a response."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from PIL import Image

from flask_server.deadline import Deadline
from flask_server.drawing import annotate
from flask_server.inference.preparation import Upload
from flask_server.web import request_context
from flask_server.web.negotiation import JPEG, PNG
from flask_server.web.services import gateway

_KINDS = {PNG: "PNG", JPEG: "JPEG"}


def upright(upload: Upload) -> Image.Image:
    """Return the upright image of an upload in the size in which it is shown.

    The upload is decoded a second time, because the pixels for the model may be far smaller.
    """
    if not isinstance(upload, bytes):
        raise upload
    deadline = Deadline(gateway().settings.deadline_s)
    with request_context.current().stopwatch.stage("decode"):
        preparation = gateway().preparation
        with preparation.decoded(upload, deadline, min_size=annotate.display_size) as decoded:
            return annotate.display_image(decoded.image)


def picture_answer(image: Image.Image, media_type: str, warnings: Sequence[str]) -> Response:
    """Return an image as a response, with warnings in the header ``X-Model-Warning``."""
    response = Response(annotate.to_file(image, _KINDS[media_type]), content_type=media_type)
    if warnings:
        response.headers["X-Model-Warning"] = " ".join(warnings)
    return response
