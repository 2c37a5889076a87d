"""Write JSON responses with orjson: for a thousand predictions the standard library is slow."""

from __future__ import annotations

import json
from typing import Any

import flask
import orjson
from flask.json.provider import DefaultJSONProvider
from werkzeug.sansio.response import Response


class JsonWriter(DefaultJSONProvider):
    """Flask's JSON provider with compact UTF-8 responses and keys in insertion order."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 (any JSON)
        """Return the response for ``jsonify``."""
        document = self._prepare_response_obj(args, kwargs)
        try:
            text = orjson.dumps(document, default=self.default, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:
            # Half a surrogate pair in a label has no UTF-8; the standard library escapes it.
            text = json.dumps(document, default=_default, separators=(",", ":")).encode() + b"\n"
        return flask.Response(text, mimetype=self.mimetype)


def _default(value: object) -> Any:  # noqa: ANN401 (any JSON)
    """Return a value that the standard library can write."""
    if isinstance(value, orjson.Fragment):
        return json.loads(orjson.dumps(value))
    return DefaultJSONProvider.default(value)
