"""Draw what a model said below the picture it said it of.

Picture and predictions in, picture out: no request, no network. A caller can rely on two promises:
all of the picture is there, and the result is at most ``LONGEST`` pixels long and wide.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from flask_server.drawing import caption
from flask_server.drawing.caption import MUTED, WARNING, Row
from flask_server.inference.ranking import Prediction

LONGEST = 1600
#: Pictures below this size are magnified, so that there is something to see.
LEAST = 480
#: More classes than these are only counted.
MOST_CLASSES = 8

Size = tuple[int, int]


def shown_size(size: Size) -> Size:
    """Return the size in which a picture of this size is shown."""
    width, height = size
    shrink = min(LONGEST / width, (LONGEST - caption.MOST_HEIGHT) / height)
    factor = shrink if shrink < 1 else max(1, LEAST // max(size))
    return max(1, round(width * factor)), max(1, round(height * factor))


def shown(image: Image.Image) -> Image.Image:
    """Return the picture in the size in which it is shown; small ones keep their hard pixels."""
    size = shown_size(image.size)
    if size[0] > image.width or size[1] > image.height:
        return image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    if image.mode in {"1", "P"}:
        image = image.convert("RGB")
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).convert("RGB")


def annotated(
    image: Image.Image, predictions: Sequence[Prediction], *, title: str, notices: Sequence[str]
) -> Image.Image:
    """Return the picture with its labels and scores, best first."""
    rows = [Row(left=(title,), ink=MUTED)]
    rows += [Row(left=(notice,), ink=WARNING, wrapped=True) for notice in notices]
    rows += [prediction_row(p) for p in predictions[:MOST_CLASSES]]
    if not predictions:
        rows.append(Row(left=("no class is likely enough",)))
    if len(predictions) > MOST_CLASSES:
        rows.append(Row(left=(f"and {len(predictions) - MOST_CLASSES} more",), ink=MUTED))
    return caption.below(shown(image), rows)


def prediction_row(prediction: Prediction) -> Row:
    """Return the row of one class: its label, its score in words, its score as a bar."""
    return Row(
        left=(prediction.label, prediction.class_id),
        right=in_words(prediction.score),
        paint=caption.bar(prediction.score),
    )


def in_words(score: float) -> str:
    """Return the score as a person reads it; one outside 0 to 1 is no share of anything."""
    if not 0 <= score <= 1:
        return f"{score:.3g}"
    return "<0.1 %" if 0 < score < 0.0005 else f"{score:.1%}".replace("%", " %")


def to_file(image: Image.Image, kind: str) -> bytes:
    """Return the picture as a file, ``PNG`` or ``JPEG``."""
    file = io.BytesIO()
    # Pictures go out once: speed counts more than the last percent of a PNG's bytes.
    image.save(file, kind, quality=90, compress_level=3)
    return file.getvalue()
