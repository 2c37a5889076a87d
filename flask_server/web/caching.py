"""Add the headers that control caching: no store at all, or revalidation with an ETag.

Descriptions (models, documents, pages; each view says so) carry an ETag and are revalidated, so an
unchanged one costs a 304 without a body. All other responses are never stored.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request

from flask_server.web import request_context


def add_headers(response: Response) -> Response:
    """Add ``Cache-Control`` to a response, and an ETag to one that is revalidated."""
    if not _keepable(response):
        response.headers["Cache-Control"] = "no-store"
        return response
    response.headers["Cache-Control"] = "no-cache"
    if request_context.current().caller is not None:
        # A shared cache must not give the response to callers with another key.
        response.headers["Cache-Control"] = "private, no-cache"
        response.vary.update(("X-API-Key", "Authorization"))
    # Flask gives static files their ETag itself.
    if not response.direct_passthrough:
        response.add_etag()
        response.make_conditional(request)
    # The WSGI server adds the Date header; a second one would be wrong.
    response.headers.pop("Date", None)
    return response


def _keepable(response: Response) -> bool:
    return (
        request_context.current().route.revalidated
        and request.method in {"GET", "HEAD"}
        and response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
    )
