"""Draw the predictions for an image below it.

The whole image is shown, and the result has at most ``MAX_SIDE`` pixels per side. Image and
predictions in, image out: no request, no network.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from flask_server.drawing import caption
from flask_server.drawing.caption import MAX_LISTED, Row
from flask_server.imaging.geometry import Size
from flask_server.inference.ranking import Prediction

#: Maximum width and height of the result in pixels.
MAX_SIDE = 1600
#: Smaller images are magnified by a whole number, as long as they stay below this size.
MAX_MAGNIFIED_SIDE = 480
#: Bytes of memory per pixel of a drawn image: shown, with heat, with its caption, and as a file.
DRAWN_BYTES = 18


def display_size(size: Size) -> Size:
    """Return the size at which an image of this size is drawn, without the caption."""
    width, height = size
    shrinking = min(MAX_SIDE / width, (MAX_SIDE - caption.MAX_HEIGHT) / height)
    factor = shrinking if shrinking < 1 else max(1, MAX_MAGNIFIED_SIDE // max(size))
    return max(1, round(width * factor)), max(1, round(height * factor))


def drawing_bytes(size: Size) -> int:
    """Upper bound of the memory that drawing an image of this size takes, its file included."""
    width, height = display_size(size)
    return DRAWN_BYTES * max(caption.MIN_WIDTH, width) * (height + caption.MAX_HEIGHT)


def display_image(image: Image.Image) -> Image.Image:
    """Return the image at its display size in RGB; magnified pixels stay sharp squares."""
    size = display_size(image.size)
    if size[0] > image.width or size[1] > image.height:
        return image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    if image.mode in {"1", "P"}:
        image = image.convert("RGB")
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).convert("RGB")


def annotated(
    image: Image.Image, predictions: Sequence[Prediction], *, title: str, notices: Sequence[str]
) -> Image.Image:
    """Return the image with a caption of title, notices, and labels with scores, best first."""
    rows = caption.heading(title, notices)
    rows += [prediction_row(prediction) for prediction in predictions[:MAX_LISTED]]
    if not predictions:
        rows.append(Row(left=("no class reaches the threshold",)))
    rows += caption.unlisted(len(predictions))
    return caption.with_caption(display_image(image), rows)


def prediction_row(prediction: Prediction) -> Row:
    """Return the row of one class: its label, and its score as text and as a bar."""
    return Row(
        left=(prediction.label, prediction.class_id),
        right=format_score(prediction.score),
        background=caption.bar(prediction.score),
    )


def format_score(score: float) -> str:
    """Return the score in percent; one outside 0 to 1 is no probability and stays a number."""
    if not 0 <= score <= 1:
        return f"{score:.3g}"
    return "<0.1 %" if 0 < score < 0.0005 else f"{score:.1%}".replace("%", " %")


def to_file(image: Image.Image, file_format: str) -> bytes:
    """Return the bytes of an image file; ``file_format`` is ``PNG`` or ``JPEG``."""
    file = io.BytesIO()
    # The file is sent once: speed matters more than the smallest PNG.
    image.save(file, file_format, quality=90, compress_level=3)
    return file.getvalue()
