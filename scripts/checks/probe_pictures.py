"""Draw the probe images of an export: the same pixels for the same input size, on every machine.

Only whole numbers are used, so that no library's rounding changes a pixel. The images are made
of areas of one colour: their PNG files stay small.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from model_catalog.spec import InputSpec

_CELLS: Final = 7
_STEP: Final = 32
_SEED: Final = 20_260


def probe_pictures(spec: InputSpec) -> dict[str, bytes]:
    """Return height x width x channels bytes by the name of the image."""
    return {name: _drawn(spec, level) for name, level in _LEVELS.items()}


def _drawn(spec: InputSpec, level: Callable[[int, int, int], int]) -> bytes:
    """Draw an image from the levels of its places, which are counted from 0 to 1023."""
    rows = [1023 * y // max(spec.height - 1, 1) for y in range(spec.height)]
    columns = [1023 * x // max(spec.width - 1, 1) for x in range(spec.width)]
    channels = range(spec.channels)
    return bytes(level(y, x, channel) for y in rows for x in columns for channel in channels)


def _table(seed: int) -> list[list[list[int]]]:
    numbers = random.Random(seed)  # noqa: S311 - the same images each time
    side = range(_CELLS + 1)
    # Not randrange, whose results Python may change: random() never changes for a seed.
    return [[[int(numbers.random() * 256) for _ in range(3)] for _ in side] for _ in side]


_BLOCKS, _CORNERS = _table(_SEED), _table(_SEED + 1)


def _blocks(y: int, x: int, channel: int) -> int:
    """Squares of one colour each."""
    return _BLOCKS[y * _CELLS // 1024][x * _CELLS // 1024][channel]


def _clouds(y: int, x: int, channel: int) -> int:
    """Colours that change in small steps from corner to corner of a grid."""
    y, x = y - y % _STEP, x - x % _STEP
    (top, down), (left, right) = divmod(y * _CELLS, 1024), divmod(x * _CELLS, 1024)
    upper = _between(_CORNERS[top][left][channel], _CORNERS[top][left + 1][channel], right)
    lower = _between(_CORNERS[top + 1][left][channel], _CORNERS[top + 1][left + 1][channel], right)
    return _between(upper, lower, down)


def _between(first: int, second: int, share: int) -> int:
    return (first * (1024 - share) + second * share) // 1024


def _discs(y: int, x: int, channel: int) -> int:
    """A light disc and a dark ring on a background that darkens to the bottom."""
    distance = (y - 460) ** 2 + (x - 540) ** 2
    if distance < 200**2:
        return (240, 200, 60)[channel]
    if distance < 330**2:
        return (30, 60, 150)[channel]
    return 230 - 170 * y // 1023 - 20 * channel


_LEVELS: Final = {"blocks": _blocks, "clouds": _clouds, "discs": _discs}
