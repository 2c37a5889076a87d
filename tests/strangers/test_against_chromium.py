"""Decoding gives the colours that Chromium shows, over generated variants of every format."""

from __future__ import annotations

import base64
from collections import defaultdict

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from tests.browser.visits import launch
from tests.decoding import decode
from tests.strangers.variants import MAKERS, Levels, Variant

#: Draws each file onto a white canvas of its own size, and returns the size and the levels.
DRAW = """
async files => Promise.all(files.map(async file => {
  const bytes = Uint8Array.from(atob(file), letter => letter.charCodeAt(0));
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([bytes]));
  try { await image.decode(); } catch (error) { return null; }
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(data)];
}))
"""
#: Where Chromium is not followed, by the beginning of a variant's name. libvips agrees with the
#: gateway on all of these that it reads.
NOT_FOLLOWED = {
    "BMP-unfilled-alpha": "Chromium 156 shows nothing; earlier versions took an alpha channel of"
    " zeros for one that is not used, and Keras drops every alpha channel",
    "WEBP-turned": "Chromium reads no EXIF block of a WebP; Firefox, Safari and libvips do",
    "AVIF-RGBA": "Chromium 156 stretches alpha as if it were of limited range; by the"
    " specification of AVIF the alpha plane has full range, and its sequence header says so",
}

Shown = dict[str, list[tuple[Variant, Levels | None]]]


def is_followed(variant: Variant) -> bool:
    return not variant.name.startswith(tuple(NOT_FOLLOWED))


@pytest.fixture(scope="module")
def shown() -> Shown:
    """Each variant with the levels that Chromium shows, by format."""
    made = [(kind, each) for kind, make in MAKERS.items() for each in make() if is_followed(each)]
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        page = browser.new_page()
        files = [base64.b64encode(variant.data).decode() for _, variant in made]
        drawn = page.evaluate(DRAW, files)
        browser.close()
    by_format: Shown = defaultdict(list)
    for (kind, variant), picture in zip(made, drawn, strict=True):
        by_format[kind].append((variant, picture and levels_of(*picture)))
    return by_format


def levels_of(width: int, height: int, levels: list[int]) -> Levels:
    return np.array(levels, np.uint8).reshape(height, width, 4)[..., :3]


@pytest.mark.parametrize("kind", MAKERS)
def test_the_colours_are_those_that_chromium_shows(kind: str, shown: Shown) -> None:
    if not shown[kind]:
        pytest.skip(f"this Pillow does not read {kind}")
    wrong = []
    for variant, expected in shown[kind]:
        pixels = np.asarray(decode(variant.data, max_pixels=10**6).image.convert("RGB"))
        if expected is None or not variant.is_like(pixels, expected):
            wrong.append(variant.name)

    assert wrong == []
