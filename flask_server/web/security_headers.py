"""Tell browsers what a page and an API answer may not be used for.

Pages may load their own files and show pictures that the person chose, nothing else; answers of the
API may be read by other origins (CORS decides which) but never rendered, framed or sniffed.
"""

from __future__ import annotations

from flask import Response

from flask_server.web import request_context

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
PAGE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
API = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def add_headers(response: Response) -> Response:
    """Put the headers on an answer; what a view has set itself stays."""
    ours = PAGE if _belongs_to_a_page(response) else API
    present = {name.lower() for name, _ in response.headers}
    for name, value in (EVERYWHERE | ours).items():
        if name.lower() not in present:
            response.headers.add(name, value)
    return response


def _belongs_to_a_page(response: Response) -> bool:
    return response.mimetype == "text/html" or request_context.current().route.page_file
