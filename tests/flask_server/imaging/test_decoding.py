from __future__ import annotations

import io
import random
from functools import cache, partial

import numpy as np
import pytest
from PIL import Image

from flask_server.errors import (
    CorruptImage,
    GatewayError,
    ImageError,
    ImageTooLarge,
    UnsupportedImage,
)
from flask_server.imaging.files.jpeg import MAX_SCANS
from flask_server.imaging.formats import FORMATS, sniff
from flask_server.imaging.preprocessing import min_decoded_size
from model_catalog.spec import InputSpec
from tests.decoding import decode
from tests.flask_server.conftest import draw, saved

ALL = 10**9


def pixels(data: bytes, **options: int) -> np.ndarray:
    return np.asarray(decode(data, max_pixels=options.get("max_pixels", ALL)).image)


def altered(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@cache
def bomb() -> bytes:
    """A whole PNG of 20000 x 20000 black dots in 50 kB."""
    return saved(Image.new("1", (20_000, 20_000)), "PNG")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_sniffed_and_decoded(kind: str) -> None:
    data = draw(kind)

    picture = decode(data, max_pixels=ALL)

    assert sniff(data) == picture.format == kind
    assert picture.stored_size == picture.image.size == (8, 8)


def test_big_tiff_is_tiff() -> None:
    data = saved(Image.new("RGB", (8, 8)), "TIFF", big_tiff=True)
    assert data.startswith(b"II+")

    assert decode(data, max_pixels=ALL).format == "TIFF"
    assert sniff(b"MM\0+" + data[4:]) == "TIFF"


def test_iso_media_that_is_no_picture_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedImage, match="of no known format; allowed are JPEG, PNG"):
        decode(b"\0\0\0\x20ftypisom" + bytes(99), max_pixels=ALL)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"hello", UnsupportedImage, id="text"),
        pytest.param(b"%PDF-1.7 and more", UnsupportedImage, id="another kind of file"),
        pytest.param(b"\x89PNG", UnsupportedImage, id="half a signature"),
        pytest.param(b"GIF89a", CorruptImage, id="header only"),
        pytest.param(draw("PNG", (64, 64))[:-2000], CorruptImage, id="truncated PNG"),
        pytest.param(altered(draw("PNG", (64, 64)), 5000), CorruptImage, id="altered PNG"),
        pytest.param(draw("JPEG", (64, 64))[:-200], CorruptImage, id="truncated JPEG"),
        pytest.param(draw("WEBP")[:-9], CorruptImage, id="truncated WebP"),
        pytest.param(draw("TIFF")[:-99], CorruptImage, id="truncated TIFF"),
        pytest.param(draw("BMP")[:-99], CorruptImage, id="truncated BMP"),
        pytest.param(bomb(), ImageTooLarge, id="bomb"),
    ],
)
def test_unusable_bytes(data: bytes, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        decode(data, max_pixels=100_000_000)


def test_pixel_limit_is_inclusive() -> None:
    decode(draw(size=(10, 10)), max_pixels=100)

    with pytest.raises(ImageTooLarge, match="10x11 are 110 pixels; at most 100"):
        decode(draw(size=(10, 11)), max_pixels=100)


LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = Image.frombytes("RGB", (16, 8), draw("PPM", (16, 8))[-16 * 8 * 3 :])
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(undo)

    picture = decode(saved(stored, kind, exif=exif, **LOSSLESS[kind]), max_pixels=ALL)

    # Pillow turns a TIFF itself.
    assert picture.orientation == (1 if kind == "TIFF" else orientation)
    assert picture.upright_size == (16, 8)
    assert np.array_equal(np.asarray(picture.image), np.asarray(upright))


@pytest.mark.skipif("HEIF" not in FORMATS, reason="the extra heif is not installed")
def test_the_thumbnail_in_a_heic_is_not_the_picture() -> None:
    data = draw("HEIF", (200, 200), thumbnails=[32])

    assert decode(data, max_pixels=ALL, min_size=lambda _: (25, 25)).image.size == (200, 200)


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan stands in it again and again."""
    data = draw("JPEG", (16, 16), "L", progressive=True)
    start = data.rindex(b"\xff\xda")
    before = data[:start].count(b"\xff\xda")
    return data[:start] + data[start:-2] * (count - before) + data[-2:]


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("width", "height", "error", "words"),
    [
        pytest.param(64, 0, UnsupportedImage, "height behind its first scan", id="no height"),
        pytest.param(0, 64, CorruptImage, "its size is 0x64", id="no width"),
    ],
)
def test_a_jpeg_without_a_size_is_refused(
    fit: str, width: int, height: int, error: type[ImageError], words: str
) -> None:
    data = draw("JPEG", (64, 64))
    at = data.index(b"\xff\xc0") + 5
    sides = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    spec = InputSpec(height=4, width=4, fit=fit)

    with pytest.raises(error, match=words):
        decode(
            data[:at] + sides + data[at + 4 :],
            max_pixels=ALL,
            min_size=partial(min_decoded_size, spec),
        )


def test_a_jpeg_has_a_bounded_number_of_scans() -> None:
    decode(with_scans(MAX_SCANS), max_pixels=ALL)

    with pytest.raises(ImageTooLarge, match=f"has {MAX_SCANS + 1} scans; at most {MAX_SCANS}"):
        decode(with_scans(MAX_SCANS + 1), max_pixels=ALL)


def test_senseless_orientation_counts_as_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77

    assert decode(draw("JPEG", exif=exif), max_pixels=ALL).orientation == 1


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert decode(data, max_pixels=ALL).image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("min_size", "size"),
    [
        pytest.param((100, 100), (100, 100), id="an eighth fits exactly"),
        pytest.param((101, 100), (200, 200), id="one pixel more needs a quarter"),
        pytest.param((500, 500), (800, 800), id="more than half"),
        pytest.param(None, (800, 800), id="must not shrink"),
    ],
)
def test_large_jpegs_shrink_down_to_the_minimum_size(
    min_size: tuple[int, int] | None, size: tuple[int, int]
) -> None:
    data = draw("JPEG", (800, 800))

    picture = decode(data, max_pixels=ALL, min_size=lambda _: min_size)

    assert picture.image.size == size
    assert picture.stored_size == (800, 800)


def test_the_minimum_size_is_that_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    asked: list[tuple[int, int]] = []

    def min_size(size: tuple[int, int]) -> tuple[int, int]:
        asked.append(size)
        return 50, 100

    picture = decode(draw("JPEG", (800, 400), exif=exif), max_pixels=ALL, min_size=min_size)

    assert asked == [(400, 800)]
    assert picture.image.size == (50, 100)


def mutations(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    good = [draw(kind, (24, 24), seed=i) for i, kind in enumerate(FORMATS)]
    good.append(saved(Image.open(io.BytesIO(good[0])).convert("CMYK"), "JPEG"))
    return [mutated(chance.choice(good), chance) for _ in range(count)]


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.randint(4, len(changed))] if chance.random() < 0.3 else changed)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_mutation_gives_a_picture_or_an_image_error() -> None:
    outcomes: dict[bool, int] = {True: 0, False: 0}

    for data in mutations(seed=20261120, count=1500):
        try:
            decode(data, max_pixels=100_000)
            outcomes[True] += 1
        except ImageError:
            outcomes[False] += 1

    assert min(outcomes.values()) > 100
