"""Draw detections over an image: a frame around each object, and its label beside the frame.

Frames and labels can be read on any image: each frame is a coloured line between two dark ones,
and each label stands on a plain ground of its class's colour. Labels do not cover each other where
there is room. Small frames are drawn last, so that large ones do not hide them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from flask_server.drawing import annotate, caption
from flask_server.drawing.caption import Color, Row
from flask_server.drawing.fonts import DrawableText, drawable_text
from flask_server.imaging.geometry import Box, Size
from flask_server.inference.detection import Detection

#: Light colours that differ in hue; on each of them ``INK`` has a contrast of at least 7.
COLORS: tuple[Color, ...] = (
    (255, 214, 64),
    (102, 224, 255),
    (255, 158, 128),
    (140, 236, 140),
    (255, 168, 230),
    (196, 180, 255),
    (255, 190, 92),
    (120, 240, 214),
)
INK: Color = (16, 18, 24)
#: Maximum number of frames, best first; the caption counts all detections.
MAX_FRAMES = 200


def color_of(class_id: str, order: Sequence[str]) -> Color:
    """Return the colour of a class; ``order`` has all classes in the image."""
    return COLORS[order.index(class_id) % len(COLORS)]


def with_boxes(
    image: Image.Image,
    detections: Sequence[Detection],
    *,
    original: Size,
    title: str,
    notices: Sequence[str],
) -> Image.Image:
    """Return the image, already at its display size, with frames, labels and a caption.

    ``original`` is the size of the image whose pixels the boxes count.
    """
    canvas = image.convert("RGB")
    order = list(dict.fromkeys(one.class_id for one in detections))
    drawing = _Drawing(ImageDraw.Draw(canvas), canvas.size)
    shown = [
        (one, scaled(one.box, original, canvas.size), color_of(one.class_id, order))
        for one in detections[:MAX_FRAMES]
    ]
    for _, box, color in sorted(shown, key=lambda item: -_area(item[1])):
        drawing.frame(box, color)
    for one, box, color in shown:  # the best detection chooses its place first
        drawing.label(one, box, color)
    return caption.with_caption(canvas, _rows(detections, title, notices))


def scaled(box: Box, original: Size, size: Size) -> Box:
    """Return the box in an image of another size, at least two pixels wide and high."""
    across, down = size[0] / original[0], size[1] / original[1]
    left, top = round(box[0] * across), round(box[1] * down)
    right, bottom = round(box[2] * across) - 1, round(box[3] * down) - 1
    return (
        max(0, min(left, size[0] - 2)),
        max(0, min(top, size[1] - 2)),
        max(min(right, size[0] - 1), min(left + 1, size[0] - 1)),
        max(min(bottom, size[1] - 1), min(top + 1, size[1] - 1)),
    )


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _rows(detections: Sequence[Detection], title: str, notices: Sequence[str]) -> list[Row]:
    """Return the caption: the model, notices, and how many objects of each class there are."""
    rows = caption.heading(title, notices)
    if not detections:
        return [*rows, Row(left=("no object reaches the threshold",))]
    classes: dict[str, list[Detection]] = {}
    for one in detections:
        classes.setdefault(one.class_id, []).append(one)
    for members in list(classes.values())[: caption.MAX_LISTED]:
        best = members[0]
        count = f"{len(members)} × " if len(members) > 1 else ""
        score = annotate.format_score(best.score)
        right = f"{count}up to {score}" if count else score
        rows.append(
            Row(
                left=(best.label, best.class_id),
                right=right,
                background=caption.bar(best.score),
            )
        )
    return [*rows, *caption.unlisted(len(classes))]


@dataclass(slots=True)
class _Drawing:
    """The canvas with the labels that have been placed."""

    draw: ImageDraw.ImageDraw
    size: Size
    placed: list[Box] = field(default_factory=list)

    @property
    def line(self) -> int:
        """Width of the coloured line in pixels."""
        return max(2, min(5, round(max(self.size) / 260)))

    @property
    def font_size(self) -> int:
        sizes = caption.FONT_SIZES
        return min(max(max(self.size) // 48, sizes.start), sizes.stop - 1)

    def frame(self, box: Box, color: Color) -> None:
        """Draw the frame of a box; its coloured line is visible on light and dark pixels."""
        left, top, right, bottom = box
        line = min(self.line, max(1, min(right - left, bottom - top) // 4))
        self._ring((left - 1, top - 1, right + 1, bottom + 1), INK, 1)
        self._ring((left + line, top + line, right - line, bottom - line), INK, 1)
        self._ring(box, color, line)

    def _ring(self, box: Box, color: Color, width: int) -> None:
        left, top, right, bottom = box
        if right > left and bottom > top:
            self.draw.rectangle(box, outline=color, width=width)

    def label(self, one: Detection, box: Box, color: Color) -> None:
        """Draw label and score beside the frame, or inside of it where there is no other place."""
        text = self._text(one)
        pad = self.font_size // 4
        size = (round(text.width) + 2 * pad + 1, round(self.font_size * 1.35))
        place = self._place(box, size)
        self.placed.append(place)
        self.draw.rectangle(place, fill=color, outline=INK)
        middle = (place[1] + place[3]) / 2
        self.draw.text((place[0] + pad + 1, middle), text.text, INK, text.font, "lm")

    def _text(self, one: Detection) -> DrawableText:
        """Return the label, shortened where the image is narrow, and its score."""
        score = annotate.format_score(one.score)
        room = self.size[0] - self.font_size
        whole = drawable_text(self.font_size, f"{one.label} {score}", f"{one.class_id} {score}")
        if whole.width <= room:
            return whole
        return drawable_text(self.font_size, one.label, one.class_id).shortened(room)

    def _place(self, box: Box, size: Size) -> Box:
        """Return the first place beside the frame that is free, else the first one of all."""
        width, height = size
        left, top, right, bottom = box
        candidates = [
            (left, top - height),
            (left, bottom + 1),
            (right - width, top - height),
            (right - width, bottom + 1),
            (left, top),
            (left, bottom - height),
            (right + 1, top),
            (left - width, top),
            *((left, row) for row in range(top, bottom - height, height)),
        ]
        places = [self._inside(x, y, width, height) for x, y in candidates]
        fitting = [
            place for place, corner in zip(places, candidates, strict=True) if place[:2] == corner
        ]
        return next(filter(self._is_free, [*fitting, *places]), (fitting or places)[0])

    def _inside(self, x: int, y: int, width: int, height: int) -> Box:
        """Return the place of a label, moved into the canvas."""
        x = max(0, min(x, self.size[0] - width))
        y = max(0, min(y, self.size[1] - height))
        return x, y, x + width - 1, y + height - 1

    def _is_free(self, place: Box) -> bool:
        return not any(
            place[0] <= other[2]
            and other[0] <= place[2]
            and place[1] <= other[3]
            and other[1] <= place[3]
            for other in self.placed
        )
