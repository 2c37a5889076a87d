"""Sizes and boxes in pixels, and which part of an image a model's input shows. Pure."""

from __future__ import annotations

from model_catalog.spec import InputSpec

#: (width, height), as in Pillow.
Size = tuple[int, int]
#: (left, top, right, bottom), as in Pillow: right and bottom are just outside.
Box = tuple[int, int, int, int]
#: The same with parts of pixels.
FloatBox = tuple[float, float, float, float]


def crop_box(size: Size, spec: InputSpec) -> Box:
    """Return the largest centred box with the aspect ratio of the model's input."""
    width, height = size
    part_width = max(1, min(width, height * spec.width // spec.height))
    part_height = max(1, min(height, width * spec.height // spec.width))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    return left, top, left + part_width, top + part_height


def scaled_box(box: Box, size: Size, covered: FloatBox) -> FloatBox:
    """Return a box of an image of this size where it stands in a smaller copy of the image.

    ``covered`` is the part of the copy that the image covers.
    """
    left, top, right, bottom = covered
    across, down = (right - left) / size[0], (bottom - top) / size[1]
    return left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down


def fitted_size(size: Size, spec: InputSpec) -> Size:
    """Return the largest size with the image's aspect ratio inside the model's input."""
    factor = min(spec.width / size[0], spec.height / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def seen_box(size: Size, spec: InputSpec) -> Box:
    """Return the box of an upright image that the model's input shows.

    It extends beyond the image if the spec pads it.
    """
    left, top, right, bottom = exact_seen_box(size, spec)
    return round(left), round(top), round(right), round(bottom)


def exact_seen_box(size: Size, spec: InputSpec) -> FloatBox:
    """Return the same box as ``seen_box``, with parts of pixels."""
    width, height = size
    if spec.fit == "crop":
        return crop_box(size, spec)
    if spec.fit == "stretch":
        return 0, 0, width, height
    fitted_width, fitted_height = fitted_size(size, spec)
    across = width * spec.width / fitted_width
    down = height * spec.height / fitted_height
    left = -((spec.width - fitted_width) // 2) * width / fitted_width
    top = -((spec.height - fitted_height) // 2) * height / fitted_height
    return left, top, left + across, top + down
