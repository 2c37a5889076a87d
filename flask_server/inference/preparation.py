"""Turn an uploaded file into the pixels of a model's input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flask_server.errors import GatewayError
from flask_server.imaging import decoding
from flask_server.imaging.preprocessing import Pixels, min_decoded_size, to_pixels
from flask_server.imaging.reports import Report, report_of
from flask_server.imaging.resizing import resizer
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec

#: An uploaded file, or the error that was found while it was read from the request.
Upload = bytes | GatewayError


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A preprocessed image, and the report of what was done to it."""

    pixels: Pixels
    report: Report


class ImagePreparation:
    """Decodes and preprocesses uploads as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.max_pixels
        self._fast_jpeg = settings.fast_jpeg
        self._resize = resizer(settings.fast_resize)

    def prepare(self, upload: Upload, spec: InputSpec, watch: Stopwatch) -> PreparedImage:
        """Return the image in the model's input size, or raise the GatewayError of the upload."""
        if isinstance(upload, GatewayError):
            raise upload
        min_size = partial(min_decoded_size, spec) if self._fast_jpeg else None
        with watch.stage("decode"):
            decoded = decoding.decode(upload, max_pixels=self._max_pixels, min_size=min_size)
        with watch.stage("preprocess"):
            pixels = to_pixels(decoded.image, spec, self._resize)
            return PreparedImage(pixels, report_of(decoded, spec))
