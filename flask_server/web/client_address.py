"""Let the app see the address of a client behind proxies."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class ForwardedClient:
    """A WSGI app whose requests have the client's address in place of the proxy's."""

    def __init__(self, app: WSGIApplication, proxies: int) -> None:
        """``proxies`` is the number of proxies that are trusted, 1 or more."""
        self._app = app
        self._proxies = proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        address = forwarded_address(environ.get("HTTP_X_FORWARDED_FOR", ""), self._proxies)
        if address is not None:
            environ["REMOTE_ADDR"] = address
        return self._app(environ, start_response)


def forwarded_address(forwarded: str, proxies: int) -> str | None:
    """Return the address that the outermost of the trusted proxies saw; None if there is none.

    Proxies append to ``X-Forwarded-For``, so that only its last entries are theirs; what a client
    wrote before them is ignored, and so is text that is no address.
    """
    seen = forwarded.split(",")
    if len(seen) < proxies:
        return None
    text = seen[-proxies].strip()
    if "%" in text:  # a zone, which may be any text, and means nothing outside the proxy
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None
