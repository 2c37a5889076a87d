"""Read JSON fast, as forgiving as the standard library: pictures in base64 are long texts."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(body: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Return the document, or raise the standard library's ValueError or RecursionError.

    NaN and Infinity (which Serving writes), UTF-16 and lone surrogates are read as well; whole
    numbers beyond 64 bits come as floats.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)
