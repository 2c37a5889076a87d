"""Our preprocessing against Keras's own: pixels byte for byte, arithmetic of every application."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.preprocessing import scale, to_pixels
from model_catalog.spec import INTERPOLATIONS, InputSpec
from tests.decoding import decode
from tests.flask_server.conftest import draw

pytestmark = pytest.mark.tensorflow

#: Which of the spec's scales each family in keras.applications was trained with.
APPLICATIONS = {
    "convnext": "none",
    "densenet": "torch",
    "efficientnet": "none",
    "efficientnet_v2": "none",
    "imagenet_utils": "caffe",
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": "none",
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet50": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}

PICTURES = {
    "landscape JPEG": draw("JPEG", (61, 40)),
    "portrait PNG": draw("PNG", (33, 70)),
    "grey PNG": draw("PNG", (50, 50), "L"),
    "CMYK JPEG": draw("JPEG", (40, 61), "CMYK"),
    "palette GIF": draw("GIF", (45, 38), "P"),
    "black and white BMP": draw("BMP", (64, 32), "1"),
    "WebP": draw("WEBP", (70, 31)),
    "progressive JPEG": draw("JPEG", (61, 40), progressive=True),
    "target size": draw("PNG", (24, 32)),
}


def keras_pixels(data: bytes, spec: InputSpec) -> Any:
    import keras

    image = keras.utils.load_img(
        io.BytesIO(data),
        color_mode=spec.color,
        target_size=(spec.height, spec.width),
        interpolation=spec.interpolation,
        keep_aspect_ratio=spec.fit == "crop",
    )
    return np.asarray(image, np.uint8).reshape(spec.height, spec.width, spec.channels)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_pixels_equal_load_img(name: str, interpolation: str, fit: str, color: str) -> None:
    spec = InputSpec(height=32, width=24, interpolation=interpolation, fit=fit, color=color)

    mine = to_pixels(decode(PICTURES[name], max_pixels=10**6).image, spec)

    assert np.array_equal(mine, keras_pixels(PICTURES[name], spec))


def test_table_names_every_application() -> None:
    import keras

    modules = {
        name
        for name in dir(keras.applications)
        if hasattr(getattr(keras.applications, name), "preprocess_input")
    }

    assert modules == set(APPLICATIONS)


@pytest.mark.parametrize("application", APPLICATIONS)
def test_scale_equals_preprocess_input(application: str) -> None:
    module = importlib.import_module(f"keras.applications.{application}")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)

    expected = module.preprocess_input(pixels.astype(np.float32))

    assert np.allclose(scale(pixels, APPLICATIONS[application]), expected, atol=1e-5)


def test_orientation_is_a_departure_and_equals_the_upright_picture() -> None:
    spec = InputSpec(height=20, width=20)
    upright = Image.open(io.BytesIO(PICTURES["portrait PNG"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = io.BytesIO(), io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    upright.save(plain, "PNG")

    mine = to_pixels(decode(turned.getvalue(), max_pixels=10**6).image, spec)

    assert np.array_equal(mine, keras_pixels(plain.getvalue(), spec))
    assert not np.array_equal(mine, keras_pixels(turned.getvalue(), spec))
