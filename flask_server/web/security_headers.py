"""Add the headers that restrict what browsers do with pages and API responses.

Pages may load only their own files and show images that the user chose. Other origins may read
responses of the API (CORS decides which), but browsers never render, frame or sniff them. Redirects
name no host, because the sender of the request chooses the one in its headers.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, redirect

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
    """Add the headers to a response; headers that a view has set stay."""
    added = PAGE if _belongs_to_a_page(response) else API
    present = {name.lower() for name, _ in response.headers}
    for name, value in (EVERYWHERE | added).items():
        if name.lower() not in present:
            response.headers.add(name, value)
    if response.location is not None:
        response.location = _without_host(response.location)
        response.data = redirect(response.location, response.status_code).get_data()
    return response


def _without_host(location: str) -> str:
    """Return the path and query of a redirect; two leading slashes would begin a host."""
    path, query = urlsplit(location)[2:4]
    return f"/{path.lstrip('/')}{'?' if query else ''}{query}"


def _belongs_to_a_page(response: Response) -> bool:
    return response.mimetype == "text/html" or request_context.current().route.page_file
