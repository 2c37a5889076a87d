"""Say of every answer how long it may be kept: not at all, or as long as asking again says so.

Descriptions (models, documents, pages; each view says so) carry an ETag and are revalidated, so an
unchanged one costs a 304 without a body. What belongs to one moment or one picture is never stored.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request

from flask_server.web import request_context


def add_headers(response: Response) -> Response:
    """Give an answer its ``Cache-Control``, and a revalidated one its ETag."""
    if not _keepable(response):
        response.headers["Cache-Control"] = "no-store"
        return response
    response.headers["Cache-Control"] = "no-cache"
    if request_context.current().caller is not None:
        # What one key may see is for its owner, not for whoever shares a cache with them.
        response.headers["Cache-Control"] = "private, no-cache"
        response.vary.update(("X-API-Key", "Authorization"))
    # Flask gives static files their ETag itself.
    if not response.direct_passthrough:
        response.add_etag()
        response.make_conditional(request)
    # The server in front of the app dates every answer itself; twice would be wrong.
    response.headers.pop("Date", None)
    return response


def _keepable(response: Response) -> bool:
    return (
        request_context.current().route.revalidated
        and request.method in {"GET", "HEAD"}
        and response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
    )
