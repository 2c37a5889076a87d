"""Decode an image for drawing, and send the drawn image as a response, with the warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from flask import Response
from PIL import Image

from flask_server.drawing import annotate
from flask_server.errors import GatewayError, UnsupportedTask
from flask_server.inference.npy import Tensor
from flask_server.inference.preparation import Upload
from flask_server.web import request_context
from flask_server.web.negotiation import JPEG, PNG
from flask_server.web.services import deadline, gateway

_KINDS = {PNG: "PNG", JPEG: "JPEG"}


@contextmanager
def upright(upload: Upload) -> Iterator[Image.Image]:
    """Hold the memory for drawing an upload; yield it upright in the size in which it is shown.

    The upload is decoded a second time, because the pixels for the model may be far smaller. The
    time of the caller's block counts as ``postprocess``.
    """
    if isinstance(upload, GatewayError):
        raise upload
    if isinstance(upload, Tensor):
        raise UnsupportedTask("A tensor is no image, so that nothing can be drawn on it.")
    with ExitStack() as stack:
        with request_context.current().stopwatch.stage("decode"):
            decoding = gateway().preparation.decoded(
                upload,
                deadline(),
                min_size=annotate.display_size,
                later_bytes=lambda header: annotate.drawing_bytes(header.upright_size),
            )
            picture = annotate.display_image(stack.enter_context(decoding).image)
        with request_context.current().stopwatch.stage("postprocess"):
            yield picture


def picture_answer(image: Image.Image, media_type: str, warnings: Sequence[str]) -> Response:
    """Return an image as a response, with warnings in the header ``X-Model-Warning``."""
    file = annotate.to_file(image, _KINDS[media_type])
    return with_warnings(Response(file, content_type=media_type), warnings)


def with_warnings(response: Response, warnings: Sequence[str]) -> Response:
    """Return the response with the warnings of its model in the header ``X-Model-Warning``."""
    if warnings:
        response.headers["X-Model-Warning"] = " ".join(warnings)
    return response
