"""Turn images into model input inside the TensorFlow graph.

Only standard ops are used, so that any TensorFlow Serving can run them. The arithmetic follows
Pillow and Keras's ``load_img``. A JPEG file decodes to the same levels as in Pillow, except that
TensorFlow rounds the conversion of CMYK files to RGB by up to one level differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from model_catalog.scaling import SCALINGS

if TYPE_CHECKING:
    import tensorflow as tf

    from model_catalog.spec import InputSpec

_CAFFE, _TORCH = SCALINGS["caffe"], SCALINGS["torch"]

#: The scalings of spec format 1: from float pixels of 0 to 255 to the model's input values.
SCALING: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "tf": lambda pixels: pixels / 127.5 - 1.0,
    "unit": lambda pixels: pixels / 255.0,
    "caffe": lambda pixels: pixels[..., ::-1] - _CAFFE.mean,
    "torch": lambda pixels: (pixels / 255.0 - _TORCH.mean) / _TORCH.deviation,
    "none": lambda pixels: pixels,
}

#: Keras's filter names, and the kernels of the op ScaleAndTranslate that equal Pillow's filters.
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic", "lanczos": "lanczos3"}


def from_raw_pixels(pixels: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return model input for strings of height x width x channels raw bytes."""
    import tensorflow as tf

    shape = [tf.shape(pixels)[0], spec.height, spec.width, spec.channels]
    raw = tf.reshape(tf.io.decode_raw(pixels, tf.uint8), shape)
    return SCALING[spec.scale](tf.cast(raw, tf.float32))


def from_files(image_bytes: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return model input for strings that are JPEG, PNG, BMP or GIF files."""
    import tensorflow as tf

    fitted = tf.map_fn(
        lambda data: _fitted(_decoded(data, spec), spec),
        image_bytes,
        fn_output_signature=tf.TensorSpec([spec.height, spec.width, spec.channels], tf.float32),
    )
    return SCALING[spec.scale](fitted)


def _decoded(data: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return the image as float levels, as stored; transparent parts of a PNG become white."""
    import tensorflow as tf

    is_png = tf.equal(tf.strings.substr(data, 0, 4), b"\x89PNG")
    rgb = tf.cond(is_png, lambda: _png_on_white(data), lambda: _opaque(data))
    return rgb if spec.channels == 3 else _luma(rgb)


def _opaque(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    image = tf.cond(tf.io.is_jpeg(data), lambda: _jpeg(data), lambda: _bmp_or_gif(data))
    return tf.ensure_shape(tf.cast(image, tf.float32), [None, None, 3])


def _jpeg(data: tf.Tensor) -> tf.Tensor:
    """Decode with the transform that Pillow uses; TensorFlow's default is faster and coarser."""
    import tensorflow as tf

    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _bmp_or_gif(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.io.decode_image(data, channels=3, expand_animations=False)


def _png_on_white(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    image = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    rgb, alpha = image[..., :3], image[..., 3:] / 255.0
    return tf.round(rgb * alpha + 255.0 * (1.0 - alpha))


def _luma(rgb: tf.Tensor) -> tf.Tensor:
    """Return the grey level as Pillow rounds it: 16-bit fixed point, half up."""
    import tensorflow as tf

    weighted = tf.cast(rgb, tf.int32) * [19595, 38470, 7471]
    return tf.cast((tf.reduce_sum(weighted, -1, keepdims=True) + 0x8000) // 0x10000, tf.float32)


def _fitted(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    import tensorflow as tf

    whole, target = tf.shape(image)[:2], tf.constant((spec.height, spec.width))
    if spec.fit == "pad":
        small = _resized(image, whole, _inside(whole, target), spec.interpolation)
        fitted = _centred(small, target)
    else:
        part = _central_part(whole, target) if spec.fit == "crop" else whole
        fitted = _resized(image, part, target, spec.interpolation)
    return tf.ensure_shape(fitted, [spec.height, spec.width, spec.channels])


def _central_part(whole: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return the [height, width] of the largest part with the target's aspect ratio."""
    import tensorflow as tf

    return tf.minimum(whole, whole[::-1] * target // target[::-1])


def _inside(whole: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return the largest [height, width] of the image's aspect ratio within the target."""
    import tensorflow as tf

    size, space = tf.cast(whole, tf.float64), tf.cast(target, tf.float64)
    # Each side when the other one fills the target, rounded as Pillow's ImageOps.pad does.
    sides = tf.cast(tf.maximum(tf.round(size / size[::-1] * space[::-1]), 1.0), tf.int32)
    return tf.minimum(target, sides)


def _centred(image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Pad the image with black on all sides to the target size."""
    import tensorflow as tf

    space = target - tf.shape(image)[:2]
    before = tf.cast(tf.round(tf.cast(space, tf.float64) * 0.5), tf.int32)
    margins = tf.stack([before, space - before], axis=1)
    return tf.pad(image, tf.concat([margins, [[0, 0]]], axis=0))


def _resized(image: tf.Tensor, part: tf.Tensor, wanted: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Resize the central part as Pillow does: rows, then columns, each rounded to whole levels.

    Like Pillow's, the filters also read pixels around the part.
    """
    import tensorflow as tf

    start = (tf.shape(image)[:2] - part) // 2
    if interpolation == "nearest":
        cut = image[start[0] : start[0] + part[0], start[1] : start[1] + part[1]]
        return tf.image.resize(cut, wanted, "nearest")
    along = _by_kernel if interpolation in _KERNELS else _by_weights
    for number in (1, 0):
        axis = _Axis(number, start[number], part[number], wanted[number])
        levels = tf.floor(along(image, axis, interpolation) + 0.5)
        image = tf.clip_by_value(levels, 0.0, 255.0)
    return image


class _Axis(NamedTuple):
    """One axis of a resize: ``length`` pixels from ``start`` on become ``wanted`` pixels."""

    number: int
    start: tf.Tensor
    length: tf.Tensor
    wanted: tf.Tensor


def _by_kernel(image: tf.Tensor, axis: _Axis, interpolation: str) -> tf.Tensor:
    import tensorflow as tf

    scale = tf.cast(axis.wanted, tf.float32) / tf.cast(axis.length, tf.float32)
    shift = -tf.cast(axis.start, tf.float32) * scale
    height, width = tf.unstack(tf.shape(image)[:2])
    along_rows = axis.number == 1
    return tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=[height, axis.wanted] if along_rows else [axis.wanted, width],
        scale=[1.0, scale] if along_rows else [scale, 1.0],
        translation=[0.0, shift] if along_rows else [shift, 0.0],
        kernel_type=_KERNELS[interpolation],
        antialias=True,
    )[0]


def _by_weights(image: tf.Tensor, axis: _Axis, interpolation: str) -> tf.Tensor:
    """Resize with a matrix of weights, for the filters of Pillow that no TensorFlow op offers."""
    import tensorflow as tf

    step = axis.length / axis.wanted
    centres = tf.cast(axis.start, tf.float64) + _pixel_centres(axis.wanted) * step
    positions = _pixel_centres(tf.shape(image)[axis.number])
    distances = (positions[tf.newaxis] - centres[:, tf.newaxis]) / tf.maximum(step, 1.0)
    weights = _FILTERS[interpolation](distances)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    equation = "hwc,xw->hxc" if axis.number == 1 else "hwc,yh->ywc"
    return tf.einsum(equation, image, tf.cast(weights, tf.float32))


def _pixel_centres(count: tf.Tensor) -> tf.Tensor:
    """Return the centres of pixels: 0.5, 1.5, …"""
    import tensorflow as tf

    return tf.cast(tf.range(count), tf.float64) + 0.5


def _box(distances: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.cast((distances > -0.5) & (distances <= 0.5), tf.float64)


def _hamming(distances: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    angle = distances * math.pi
    sinc = tf.where(distances == 0.0, 1.0, tf.math.divide_no_nan(tf.sin(angle), angle))
    return tf.where(tf.abs(distances) < 1.0, sinc * (0.54 + 0.46 * tf.cos(angle)), 0.0)


_FILTERS = {"box": _box, "hamming": _hamming}
