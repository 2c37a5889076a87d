"""Decode the bytes of an image file in one step, as the gateway does in two."""

from __future__ import annotations

from flask_server.imaging.decoding import DecodedImage, MinSize, read_header


def decode(data: bytes, *, max_pixels: int, min_size: MinSize | None = None) -> DecodedImage:
    """Return the first image in ``data``, or raise an ImageError."""
    return read_header(data, max_pixels=max_pixels, min_size=min_size).decode()
