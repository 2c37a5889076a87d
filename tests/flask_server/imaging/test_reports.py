from __future__ import annotations

from functools import partial

from PIL import Image

from flask_server.imaging.preprocessing import min_decoded_size
from flask_server.imaging.reports import Report, report_of
from model_catalog.spec import InputSpec
from tests.decoding import decode
from tests.flask_server.conftest import draw


def report(data: bytes, **fields: str | int) -> Report:
    spec = InputSpec(**({"height": 10, "width": 10} | fields))  # type: ignore[arg-type]
    min_size = partial(min_decoded_size, spec)
    return report_of(decode(data, max_pixels=10**9, min_size=min_size), spec)


def test_nothing_to_do_is_told_as_nothing() -> None:
    said = report(draw(size=(10, 10)))

    assert (said["resized_from"], said["resized_to"], said["cropped"]) == (None, None, None)
    assert said["converted_from"] is None
    assert not said["alpha_flattened"]


def test_crop_tells_the_box_and_what_it_was_resized_from() -> None:
    said = report(draw(size=(40, 20)), fit="crop")

    assert said["cropped"] == [10, 0, 30, 20]
    assert (said["resized_from"], said["resized_to"]) == ([20, 20], [10, 10])


def test_crop_of_the_right_shape_cuts_nothing() -> None:
    assert report(draw(size=(40, 40)), fit="crop")["cropped"] is None


def test_pad_tells_the_size_inside_the_frame() -> None:
    said = report(draw(size=(40, 20)), fit="pad")

    assert (said["resized_from"], said["resized_to"]) == ([40, 20], [10, 5])
    assert said["padded"]


def test_turned_and_shrunk_sizes_are_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    said = report(draw("JPEG", (800, 400), exif=exif))

    assert said["orientation"] == 6
    assert said["size"] == [400, 800]
    assert said["shrunk_while_decoding_to"] == said["resized_from"] == [50, 100]


def test_colour_conversion_is_told_by_the_file_s_mode() -> None:
    assert report(draw("JPEG", mode="CMYK"))["converted_from"] == "CMYK"
    assert report(draw(mode="RGB"), color="grayscale")["converted_from"] == "RGB"
    assert report(draw(mode="L"), color="grayscale")["converted_from"] is None
