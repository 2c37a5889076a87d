from __future__ import annotations

import random

import pytest
from PIL import Image

from flask_server.errors import ImageError
from tests.decoding import decode
from tests.flask_server.conftest import draw, saved


def damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(5):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def test_damaged_tiffs_write_nothing_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(1)
    packed = ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")
    good = [draw("TIFF", (64, 64), compression=name) for name in packed]
    good += [saved(Image.new("1", (64, 64)), "TIFF", compression="group4")]
    refused = 0

    for _ in range(200):
        try:
            decode(damaged(chance.choice(good), chance), max_pixels=10**6)
        except ImageError:
            refused += 1

    assert refused > 20
    assert capfd.readouterr().err == ""
