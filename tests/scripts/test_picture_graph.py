"""Preprocessing in the graph equals load_img in geometry and preprocess_input in scale."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model_catalog.spec import FITS, INTERPOLATIONS, SCALES, InputSpec
from scripts import picture_graph

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    shape = (height, width, channels)
    return np.random.default_rng(height).integers(0, 256, shape, dtype=np.uint8)


def file_of(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    return encoded(Image.fromarray(pixels), kind, **options)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> NDArray[np.float32]:
    """Return the levels of the file as Pillow decodes them."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.float32)


def in_graph(data: bytes, **spec: Any) -> NDArray[np.float32]:
    """Send the picture through the ops of the signature ``image``."""
    import tensorflow as tf

    wanted = InputSpec(**{"height": 24, "width": 16, "scale": "none", **spec})
    fitted: NDArray[np.float32] = picture_graph.from_files(tf.constant([data]), wanted).numpy()[0]
    return fitted


def by_keras(data: bytes, *, crop: bool = False, **spec: Any) -> NDArray[np.float32]:
    import keras

    image = keras.utils.load_img(
        io.BytesIO(data),
        target_size=(24, 16),
        color_mode=spec.get("color", "rgb"),
        interpolation=spec.get("interpolation", "bilinear"),
        keep_aspect_ratio=crop,
    )
    return np.asarray(keras.utils.img_to_array(image))


def assert_nearly_equal(fitted: NDArray[np.float32], expected: NDArray[Any]) -> None:
    """Allow a difference of one grey level, except in a few pixels where overshoot is clipped.

    Pillow decides by the sizes whether rows or columns come first; the cut then falls elsewhere.
    """
    difference = np.abs(fitted - expected)
    assert difference.mean() < 0.3
    assert (difference <= 1).mean() > 0.97


def levels(scale: str) -> NDArray[np.float32]:
    """Every grey level in every channel, scaled in the graph."""
    import tensorflow as tf

    picture = np.arange(256, dtype=np.uint8).repeat(3)
    wanted = InputSpec(height=16, width=16, scale=scale)
    run = tf.function(lambda raw: picture_graph.from_raw_pixels(raw, wanted), autograph=False)
    scaled: NDArray[np.float32] = run(tf.constant([picture.tobytes()])).numpy()[0]
    return scaled


def test_every_scale_of_the_spec_has_its_arithmetic() -> None:
    assert set(picture_graph.SCALING) == set(SCALES)


@pytest.mark.parametrize("mode", ["tf", "caffe", "torch"])
def test_scales_equal_preprocess_input(mode: str) -> None:
    from keras.applications.imagenet_utils import preprocess_input

    pixels = np.arange(256, dtype=np.float32).repeat(3).reshape(16, 16, 3)

    expected = preprocess_input(pixels.copy(), data_format="channels_last", mode=mode)
    np.testing.assert_allclose(levels(mode), expected, rtol=0, atol=1e-6)


def test_unit_divides_and_none_leaves_alone() -> None:
    pixels = np.arange(256, dtype=np.float32).repeat(3).reshape(16, 16, 3)

    np.testing.assert_allclose(levels("unit"), pixels / 255, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(levels("none"), pixels)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(104, 80), (10, 7), (24, 40)], ids=["down", "up", "one axis"])
def test_resizing_equals_load_img(interpolation: str, size: tuple[int, int]) -> None:
    data = file_of(noise(*size))

    fitted = in_graph(data, interpolation=interpolation)

    expected = by_keras(data, interpolation=interpolation)
    assert_nearly_equal(fitted, expected)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(90, 30), (31, 90), (24, 16), (7, 5)])
def test_crop_cuts_where_load_img_cuts(size: tuple[int, int], interpolation: str) -> None:
    data = file_of(noise(*size))

    fitted = in_graph(data, fit="crop", interpolation=interpolation)

    expected = by_keras(data, crop=True, interpolation=interpolation)
    assert_nearly_equal(fitted, expected)


@pytest.mark.parametrize("size", [(90, 30), (30, 90), (24, 16), (7, 5)])
def test_pad_centres_on_black_as_pillow_does(size: tuple[int, int]) -> None:
    pixels = noise(*size)

    fitted = in_graph(file_of(pixels), fit="pad")

    expected = ImageOps.pad(Image.fromarray(pixels), (16, 24), Image.Resampling.BILINEAR)
    assert_nearly_equal(fitted, np.asarray(expected))


def test_padding_keeps_a_line_visible() -> None:
    white = np.full((200, 1, 3), 255, dtype=np.uint8)

    assert in_graph(file_of(white), fit="pad").sum(axis=(0, 2)).nonzero()[0].tolist() == [8]


@pytest.mark.parametrize("fit", FITS)
def test_the_shape_is_the_models_whatever_the_fit(fit: str) -> None:
    assert in_graph(file_of(noise(9, 31)), fit=fit).shape == (24, 16, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_grey_input_equals_load_img_for_colour_files(kind: str) -> None:
    smooth = np.asarray(Image.fromarray(noise(4, 4)).resize((60, 50)))
    data = file_of(smooth, kind)

    fitted = in_graph(data, color="grayscale")

    assert fitted.shape == (24, 16, 1)
    assert np.abs(fitted - by_keras(data, color="grayscale")).max() <= 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@pytest.mark.parametrize("size", [(24, 16), (1, 1), (17, 33), (101, 3)])
def test_a_jpeg_decodes_to_the_levels_of_pillow(
    size: tuple[int, int], subsampling: str, progressive: bool
) -> None:
    for quality in (5, 50, 95, 100):
        options = {"subsampling": subsampling, "progressive": progressive, "quality": quality}
        data = file_of(noise(*size), "JPEG", **options)

        decoded = in_graph(data, height=size[0], width=size[1])

        np.testing.assert_array_equal(decoded, opened(data), str(quality))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_of_other_colours_decode_as_in_pillow(mode: str) -> None:
    levels = noise(24, 16, len(Image.new(mode, (1, 1)).getbands())).tobytes()
    data = encoded(Image.frombytes(mode, (16, 24), levels), "JPEG")

    # TensorFlow rounds the product of ink and black down, Pillow to the nearest level.
    assert np.abs(in_graph(data) - opened(data)).max() <= (1 if mode == "CMYK" else 0)


def test_grey_files_become_colour() -> None:
    data = file_of(noise(50, 40, 1)[..., 0])

    assert np.abs(in_graph(data) - by_keras(data)).max() <= 1


def test_transparent_parts_of_a_png_become_white() -> None:
    pixels = np.zeros((24, 16, 4), dtype=np.uint8)
    pixels[:, 8:, 3] = 255

    fitted = in_graph(file_of(pixels))

    assert (fitted[:, :8] == 255).all()
    assert (fitted[:, 8:] == 0).all()


def test_of_an_animation_the_first_picture_counts() -> None:
    first, second = Image.new("RGB", (16, 24), "red"), Image.new("RGB", (16, 24), "blue")
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])

    np.testing.assert_array_equal(in_graph(file.getvalue())[0, 0], [255, 0, 0])


def test_pictures_of_different_sizes_share_a_batch() -> None:
    import tensorflow as tf

    files = [file_of(noise(9, 31)), file_of(noise(50, 40), "JPEG")]
    wanted = InputSpec(height=24, width=16, scale="none")

    batch = picture_graph.from_files(tf.constant(files), wanted)

    np.testing.assert_allclose(batch, [in_graph(file) for file in files], atol=1e-3)


def test_what_is_no_picture_is_refused() -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        in_graph(b"hello")
