"""End the span of each finished request, with what the request log knows of it."""

from __future__ import annotations

from flask_server.telemetry.request_log import Entry
from flask_server.web import request_context
from serving_tracing import conventions
from serving_tracing.conventions import Attributes

#: The id of the request, as in the log and in its header.
REQUEST_ID = "gateway.request_id"
#: The code of a problem document.
ERROR_CODE = "gateway.error_code"
#: The public id of the API key.
API_KEY = "gateway.api_key_id"
IMAGES = "gateway.images"


def write(entry: Entry) -> None:
    """End the span of the request that ends, if it has one."""
    context = request_context.current()
    if context.span is None:
        return
    is_error = entry.status >= conventions.SERVER_ERROR
    error = (entry.code or str(entry.status)) if is_error else None
    context.span.end({REQUEST_ID: context.request_id, **_attributes(entry)}, error)


def _attributes(entry: Entry) -> Attributes:
    attributes: dict[str, str | int | None] = {
        conventions.HTTP_STATUS: entry.status,
        conventions.MODEL: entry.model,
        conventions.VERSION: entry.version,
        ERROR_CODE: entry.code,
        API_KEY: entry.api_key,
        IMAGES: len(entry.image_codes) or None,
    }
    return {name: value for name, value in attributes.items() if value is not None}
