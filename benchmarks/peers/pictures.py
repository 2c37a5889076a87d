"""Turn base64 text into a model's input, as every peer has to."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.resizing import Resize, by_pillow


def image_array(text: str, side: int, resize: Resize = by_pillow) -> NDArray[np.float32]:
    """Return the picture scaled to [-1, 1]."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        small = resize(image.convert("RGB"), (side, side), "bilinear", (0, 0, *image.size))
    return np.asarray(small, np.float32) / np.float32(127.5) - np.float32(1)
