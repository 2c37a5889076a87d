"""Choose how pictures travel to Serving and write the request bodies.

The cheapest encoding that the model's signature allows: raw pixels in base64 (the ``pixels``
signature of our exports), whole numbers for a uint8 input, rounded floats for the rest. Pure: specs
and signature metadata in, bytes out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask_server.errors import ServingError
from flask_server.preprocessing import Pixels, scale
from model_catalog.spec import InputSpec

Encoder = Callable[[Sequence[Pixels]], bytes]

PIXELS = "pixels"
DESCRIBE = "describe"
DEFAULT = "serving_default"

#: Six decimals keep preprocessed values to 1e-6 and halve the body of full-precision floats.
_DECIMALS = 6


def describe_request() -> bytes:
    """Return the body that asks an export of ours for its spec."""
    return json.dumps({"signature_name": DESCRIBE, "instances": ["spec"]}).encode()


def choose_encoder(signatures: Mapping[str, Any], spec: InputSpec) -> Encoder:
    """Return the encoder for a model with these signatures."""
    if PIXELS in signatures:
        return encode_raw
    dtype = _only_input(signatures)["dtype"]
    if dtype == "DT_UINT8":
        return encode_whole
    if dtype in {"DT_FLOAT", "DT_DOUBLE"}:
        return lambda pictures: encode_floats(pictures, spec.scale)
    raise ServingError(
        f"The model's {DEFAULT} signature takes {dtype}; known are DT_UINT8, DT_FLOAT, DT_DOUBLE."
    )


def encode_raw(pictures: Sequence[Pixels]) -> bytes:
    """Write pictures as raw bytes in base64, for the ``pixels`` signature."""
    rows = ",".join(f'{{"b64":"{_base64(pixels)}"}}' for pixels in pictures)
    return f'{{"signature_name":"{PIXELS}","instances":[{rows}]}}'.encode("ascii")


def encode_whole(pictures: Sequence[Pixels]) -> bytes:
    """Write pictures as whole numbers from 0 to 255."""
    rows = [pixels.tolist() for pixels in pictures]
    return json.dumps({"instances": rows}, separators=(",", ":")).encode("ascii")


def encode_floats(pictures: Sequence[Pixels], mode: str) -> bytes:
    """Write pictures as scaled floats with six decimals."""
    rows = [scale(pixels, mode).astype(float).round(_DECIMALS).tolist() for pixels in pictures]
    return json.dumps({"instances": rows}, separators=(",", ":")).encode("ascii")


def _base64(pixels: Pixels) -> str:
    return base64.b64encode(pixels.tobytes()).decode("ascii")


def _only_input(signatures: Mapping[str, Any]) -> Mapping[str, Any]:
    inputs = signatures.get(DEFAULT, {}).get("inputs", {})
    if len(inputs) != 1:
        raise ServingError(
            f"The model's {DEFAULT} signature has {len(inputs)} inputs; exactly one is needed."
        )
    return dict(next(iter(inputs.values())))
