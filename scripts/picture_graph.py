"""Turn pictures into model input inside the TensorFlow graph.

Only standard ops, so that any TensorFlow Serving can run them. The arithmetic follows Pillow and
Keras's ``load_img``; the decoders of JPEG differ by a grey level here and there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from model_catalog.spec import InputSpec

#: ImageNet statistics of keras.applications: blue, green, red for "caffe", else red, green, blue.
_CAFFE_MEAN = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_DEVIATION = (0.229, 0.224, 0.225)

#: The scaling of spec format 1: float pixels from 0 to 255 become what the model was trained on.
SCALING: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "tf": lambda pixels: pixels / 127.5 - 1.0,
    "unit": lambda pixels: pixels / 255.0,
    "caffe": lambda pixels: pixels[..., ::-1] - _CAFFE_MEAN,
    "torch": lambda pixels: (pixels / 255.0 - _TORCH_MEAN) / _TORCH_DEVIATION,
    "none": lambda pixels: pixels,
}

#: Keras's names of filters and the kernels of the op ScaleAndTranslate that equal Pillow's.
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic", "box": "box", "lanczos": "lanczos3"}


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
    """Return the picture as float levels, as stored; transparent parts of a PNG become white."""
    import tensorflow as tf

    is_png = tf.equal(tf.strings.substr(data, 0, 4), b"\x89PNG")
    rgb = tf.cond(is_png, lambda: _png_on_white(data), lambda: _opaque(data))
    return rgb if spec.channels == 3 else _luma(rgb)


def _opaque(data: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(tf.cast(image, tf.float32), [None, None, 3])


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

    target = (spec.height, spec.width)
    if spec.fit == "pad":
        small = _resized(image, _inside(image, spec), spec.interpolation)
        space = tf.constant(target) - tf.shape(small)[:2]
        before = tf.cast(tf.round(tf.cast(space, tf.float64) * 0.5), tf.int32)
        margins = tf.stack([before, space - before], axis=1)
        fitted = tf.pad(small, tf.concat([margins, [[0, 0]]], axis=0))
    else:
        part = _central_part(image, spec) if spec.fit == "crop" else image
        fitted = _resized(part, tf.constant(target), spec.interpolation)
    return tf.ensure_shape(fitted, [*target, spec.channels])


def _central_part(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Cut to the target's aspect ratio, to the pixel that ``load_img`` cuts."""
    import tensorflow as tf

    height, width = tf.unstack(tf.shape(image)[:2])
    new_height = tf.minimum(height, width * spec.height // spec.width)
    new_width = tf.minimum(width, height * spec.width // spec.height)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return image[top : top + new_height, left : left + new_width]


def _inside(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Return the biggest [height, width] of the picture's own aspect ratio within the target."""
    import tensorflow as tf

    size = tf.cast(tf.shape(image)[:2], tf.float64)
    target = tf.constant((spec.height, spec.width), tf.float64)
    # The other side's length when one side fills the target, rounded as Pillow's ImageOps.pad does.
    follows = tf.cast(tf.maximum(tf.round(size / size[::-1] * target[::-1]), 1.0), tf.int32)
    return tf.minimum(tf.constant((spec.height, spec.width)), follows)


def _resized(image: tf.Tensor, size: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Resize as Pillow does: the filter widens when shrinking, the result is whole grey levels."""
    import tensorflow as tf

    if interpolation == "nearest":
        return tf.image.resize(image, size, "nearest")
    if interpolation == "hamming":
        resized = _hamming(image, size)
    else:
        resized = _translated(image, size, _KERNELS[interpolation])
    return tf.clip_by_value(tf.round(resized), 0.0, 255.0)


def _translated(image: tf.Tensor, size: tf.Tensor, kernel: str) -> tf.Tensor:
    import tensorflow as tf

    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(image)[:2], tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=size,
        scale=scale,
        translation=[0.0, 0.0],
        kernel_type=kernel,
        antialias=True,
    )[0]


def _hamming(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resize by one weight matrix per axis; TensorFlow has no op with this filter."""
    import tensorflow as tf

    shape = tf.shape(image)
    columns = tf.einsum("hwc,xw->hxc", image, _hamming_weights(shape[1], size[1]))
    return tf.einsum("hxc,yh->yxc", columns, _hamming_weights(shape[0], size[0]))


def _hamming_weights(length: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Return the [wanted, length] weights of each old position in each new one."""
    import math

    import tensorflow as tf

    step = tf.cast(length, tf.float32) / tf.cast(wanted, tf.float32)
    centres = (tf.cast(tf.range(wanted), tf.float32) + 0.5) * step
    positions = tf.cast(tf.range(length), tf.float32) + 0.5
    distance = (positions[tf.newaxis] - centres[:, tf.newaxis]) / tf.maximum(step, 1.0)
    angle = distance * math.pi
    window = tf.math.divide_no_nan(tf.sin(angle), angle) * (0.54 + 0.46 * tf.cos(angle))
    weights = tf.where(distance == 0.0, 1.0, tf.where(tf.abs(distance) < 1.0, window, 0.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
