"""Write one log line per finished request.

The line contains no secret and no image, because a request log entry contains neither.
"""

from __future__ import annotations

import logging
from typing import Any

from flask_server.telemetry.request_log import Entry

log = logging.getLogger(__name__)


def write(entry: Entry) -> None:
    """Log one finished request."""
    # Health checks come every few seconds: at INFO they would be most of the log.
    level = logging.DEBUG if entry.health_check else logging.INFO
    if log.isEnabledFor(level):
        extra = {"fields": _fields(entry)}
        log.log(level, "%s %s %d", entry.method, entry.route, entry.status, extra=extra)


def _fields(entry: Entry) -> dict[str, Any]:
    fields = {
        "method": entry.method,
        "route": entry.route,
        "status": entry.status,
        "code": entry.code,
        "ms": round(entry.seconds * 1000, 2),
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "model": entry.model,
        "version": entry.version,
        "version_label": entry.split_label,
        "client": entry.client,
        "api_key": entry.api_key,
    }
    return {key: value for key, value in fields.items() if value is not None}
