"""Turn an uploaded file into the pixels of a model's input."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, InvalidTensor
from flask_server.imaging.decoding import (
    RGB_BYTES,
    DecodedImage,
    EncodedImage,
    MinSize,
    read_header,
)
from flask_server.imaging.files import jpeg
from flask_server.imaging.formats import sniff
from flask_server.imaging.preprocessing import Original, Pixels, min_decoded_size, to_pixels
from flask_server.imaging.reports import Report, report_of, report_of_file
from flask_server.imaging.resizing import resizer
from flask_server.inference.image_memory import FileMemory, reserved
from flask_server.inference.npy import Tensor
from flask_server.memory_budget import MemoryBudget
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec

#: An uploaded image file or tensor, or the error that was found while it was read from the request.
Upload = bytes | Tensor | GatewayError

#: Bytes of memory per pixel of a PNG file that is made of a decoded image: in RGB, and the file.
PNG_BYTES = 8

#: Returns the bytes of memory that a use of the image takes once it is decoded.
LaterBytes = Callable[[EncodedImage], int]


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A preprocessed image, and the report of what was done to it."""

    pixels: Pixels
    report: Report


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """An image file for a model that decodes it itself."""

    data: bytes
    report: Report

    orientation: int
    """The EXIF orientation of the file, which the model does not apply; 1 for an upright one."""


def png_bytes(image: EncodedImage) -> int:
    """Upper bound of the memory that decoded pixels and a PNG file made of them take."""
    width, height = image.upright_size
    return image.decoded_bytes + PNG_BYTES * width * height


def _is_read_by_tensorflow(file: bytes) -> bool:
    """Return whether every usual decoder of TensorFlow reads the file; raise CorruptImage.

    ``decode_jpeg`` and ``decode_png`` read no BMP and no animated GIF, and no decoder reads the
    palette of a BMP, a GIF's canvas or a lossless JPEG.
    """
    found = sniff(file)
    return found == "PNG" or (found == "JPEG" and not jpeg.is_lossless(file))


class ImagePreparation:
    """Decodes and preprocesses uploads as the settings say, within the memory budget."""

    def __init__(self, settings: Settings, memory: MemoryBudget) -> None:
        self._max_pixels = settings.max_pixels
        self._fast_jpeg = settings.fast_jpeg
        self._resize = resizer(settings.fast_resize)
        self._memory = memory

    def prepare(
        self, upload: Upload, spec: InputSpec, deadline: Deadline, watch: Stopwatch
    ) -> PreparedImage:
        """Return the image in the model's input size, or raise the GatewayError of the upload."""
        if isinstance(upload, GatewayError):
            raise upload
        if isinstance(upload, Tensor):
            raise InvalidTensor(
                "A tensor stands where an image is needed; only a predict request takes one, alone."
            )
        min_size = partial(min_decoded_size, spec) if self._fast_jpeg else None
        with ExitStack() as held:
            with watch.stage("decode"):
                decoded = held.enter_context(
                    self.decoded(upload, deadline, min_size=min_size, width=spec.width)
                )
            with watch.stage("preprocess"):
                original = Original(decoded.upright_size, decoded.covered)
                pixels = to_pixels(decoded.image, spec, self._resize, original)
                return PreparedImage(pixels, report_of(decoded, spec))

    def prepare_file(
        self,
        upload: Upload,
        deadline: Deadline,
        watch: Stopwatch,
        files: FileMemory | None = None,
    ) -> PreparedFile:
        """Return a JPEG or PNG as it is, and any other file as PNG.

        The file is decoded here as well, so that a damaged one is the error of its upload.
        ``files`` is the budget for decoding, and holds the memory of the PNG file.
        """
        if isinstance(upload, GatewayError):
            raise upload
        if isinstance(upload, Tensor):
            raise InvalidTensor("The model takes image files, and no tensors.")
        is_readable = _is_read_by_tensorflow(upload)
        later_bytes = None if is_readable else png_bytes
        decoding = self.decoded(
            upload, deadline, min_size=None, later_bytes=later_bytes, memory=files
        )
        with watch.stage("decode"), decoding as decoded:
            report = report_of_file(decoded)
            if is_readable:
                return PreparedFile(upload, report, decoded.orientation)
            pixels = decoded.image.convert("RGB")
            del decoded  # a decoder may hold as much memory as its image
            file = io.BytesIO()
            pixels.save(file, "PNG", compress_level=1)
        data = file.getvalue()
        if files is not None:
            files.add(len(data))
        return PreparedFile(data, report, 1)

    @contextmanager
    def decoded(
        self,
        file: bytes,
        deadline: Deadline,
        *,
        min_size: MinSize | None,
        width: int = 0,
        later_bytes: LaterBytes | None = None,
        memory: FileMemory | None = None,
    ) -> Iterator[DecodedImage]:
        """Decode an image and hold its memory.

        ``width`` is the width to which it is resized, 0 if it is not, or if ``later_bytes`` counts
        that. ``later_bytes`` is the memory that a use of the image takes once the decoder has given
        its own back; the larger of the two is held until the context is left. ``memory`` is the
        budget, by default that of the process.
        Raises an ImageError, or Overloaded if there is no memory for it before the deadline.
        """
        header = read_header(file, max_pixels=self._max_pixels, min_size=min_size)
        size = header.upright_size
        # Resizing makes an image of the new width and the old height first.
        needed = header.peak_bytes + RGB_BYTES * width * size[1]
        needed = max(needed, later_bytes(header) if later_bytes else 0)
        with reserved(memory or self._memory, needed, size, deadline):
            decoded = [header.decode()]
            del header
            yield decoded.pop()  # no reference stays here, so that a caller can drop the image
