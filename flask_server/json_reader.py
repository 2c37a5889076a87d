"""Parse JSON fast, and accept all that the standard library accepts.

Speed matters because images in base64 are long strings.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(body: bytes) -> Any:  # noqa: ANN401 (JSON)
    """Return the parsed document, or raise the standard library's ValueError or RecursionError.

    NaN and Infinity (which Serving writes), UTF-16 and lone surrogates are accepted. Integers of
    more than 64 bits become floats.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)
