"""Choose how pictures travel to Serving and write the request bodies.

The cheapest encoding that the model's signature allows: raw pixels in base64 (the ``pixels``
signature of our exports), picture files in base64 where the input is a string, whole numbers for
integer inputs, rounded floats for the rest. Pure: specs and signatures in, bytes out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pybase64
from numpy.typing import NDArray
from PIL import Image

from flask_server.errors import ServingError
from flask_server.imaging.preprocessing import Pixels, scale
from flask_server.serving.signatures import (
    FLOATS,
    Signatures,
    is_channels_first,
    is_our_export,
    picture_input,
)
from model_catalog.spec import InputSpec

Encoder = Callable[[Sequence[Pixels]], bytes]

_DESCRIBE = {"signature_name": "describe", "instances": ["spec"]}
_INTEGERS = ("DT_UINT8", "DT_INT32", "DT_INT64", "DT_UINT32", "DT_UINT64")

#: Six decimals keep preprocessed values to 1e-6 and halve the body of full-precision floats.
_DECIMALS = 6


def describe_request() -> bytes:
    """Return the body that asks an export of ours for its spec."""
    return json.dumps(_DESCRIBE).encode()


def choose_encoder(signatures: Signatures, spec: InputSpec) -> Encoder:
    """Return the encoder for a model with these signatures, or raise ServingError."""
    if is_our_export(signatures):
        return encode_raw
    tensor = picture_input(signatures)
    arrange = _arrangement(tensor.shape, spec)
    if tensor.dtype == "DT_STRING":
        return encode_files
    if tensor.dtype in _INTEGERS:
        return lambda pictures: _rows([arrange(pixels) for pixels in pictures])
    if tensor.dtype in FLOATS:
        return lambda pictures: _rows([arrange(_rounded(p, spec.scale)) for p in pictures])
    known = ", ".join(("DT_STRING", *_INTEGERS, *FLOATS))
    raise ServingError(f"The model's input {tensor.name} is {tensor.dtype}; known are {known}.")


def encode_raw(pictures: Sequence[Pixels]) -> bytes:
    """Write pictures as raw bytes in base64, for the ``pixels`` signature."""
    texts = [pybase64.b64encode(np.ascontiguousarray(pixels).data) for pixels in pictures]
    # Joined once: a body of eight pictures has a megabyte, and each copy touches fresh memory.
    between = [piece for text in texts for piece in (b'"},{"b64":"', text)][1:]
    return b"".join((b'{"signature_name":"pixels","instances":[{"b64":"', *between, b'"}]}'))


def encode_files(pictures: Sequence[Pixels]) -> bytes:
    """Write pictures as PNG files in base64, for graphs that decode pictures themselves."""
    rows = b",".join(b'{"b64":"%b"}' % pybase64.b64encode(_png(pixels)) for pixels in pictures)
    return b'{"instances":[%b]}' % rows


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    # A picture of the model's size is small: speed counts more than bytes.
    Image.fromarray(flat).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _arrangement(shape: tuple[int, ...], spec: InputSpec) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return how [height, width, channels] becomes what the declared shape wants."""
    if is_channels_first(shape):
        return lambda array: array.transpose(2, 0, 1)
    if len(shape) == 3 and spec.channels == 1:
        return lambda array: array[..., 0]
    if len(shape) == 2:
        return lambda array: array.reshape(-1)
    return lambda array: array


def _rounded(pixels: Pixels, mode: str) -> NDArray[np.float64]:
    return scale(pixels, mode).astype(np.float64).round(_DECIMALS)


def _rows(arrays: Sequence[NDArray[Any]]) -> bytes:
    rows = [array.tolist() for array in arrays]
    return json.dumps({"instances": rows}, separators=(",", ":")).encode("ascii")
