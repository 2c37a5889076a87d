"""Turn base64 text into model input, for all peers."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import resized
from flask_server.imaging.resizing import Resize, by_pillow


def image_array(text: str, side: int, resize: Resize = by_pillow) -> NDArray[np.float32]:
    """Return the picture scaled to [-1, 1]."""
    small = resized(base64.b64decode(text), side, resize)
    return np.asarray(small, np.float32) / np.float32(127.5) - np.float32(1)
