"""Build the response to a request for which a worker has no room, from its head. No I/O.

The response has the request ID and the CORS headers that a refusal by the app has, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from flask_server.errors import Overloaded
from flask_server.runtime.bad_request_page import page
from flask_server.web.request_context import request_id_of

NO_MEMORY: Final = (
    "The memory for requests (GATEWAY_MAX_MEMORY) is used up at the moment; try again soon."
)
NO_THREAD: Final = "All threads for such requests are busy at the moment; try again soon."

#: A character that occurs nowhere else in the response. In ``_parts`` the request ID is replaced by
#: as many of it as the ID has characters.
_PLACEHOLDER: Final = "~"


def request_id(head: bytes) -> str:
    """Return the client's own request ID if it is well-formed, else a new one."""
    return request_id_of(_header(head, b"x-request-id"))


def response(head: bytes, request_id: str, detail: str, origins: Sequence[str]) -> bytes:
    """Return the bytes of the response; ``origins`` are those that may read it, or ``*``."""
    parts = _parts(detail, _allowed_origin(head, origins), len(request_id))
    return request_id.encode("ascii").join(parts)


@lru_cache
def _parts(detail: str, allowed_origin: str | None, id_length: int) -> list[bytes]:
    """Return what is before, between and after the places of the request ID.

    Under overload hundreds of responses per second differ in their ID only.
    """
    some_id = _PLACEHOLDER * id_length
    status = HTTPStatus.SERVICE_UNAVAILABLE
    made = page(status, Overloaded.code, detail, some_id, allowed_origin)
    return made.split(some_id.encode("ascii"))


def _allowed_origin(head: bytes, origins: Sequence[str]) -> str | None:
    if "*" in origins:
        return "*"
    asking = _header(head, b"origin")
    return next((origin for origin in origins if origin.lower() == asking.lower()), None)


def _header(head: bytes, name: bytes) -> str:
    """Return the value of a header; an empty text without it.

    The time is proportional to the length of the head: the pattern has one repetition, and the
    blanks around the value are removed afterwards.
    """
    found = re.search(rb"\r\n%b:([^\r\n]*)\r\n" % name, head, re.IGNORECASE)
    return found.group(1).strip(b" \t").decode("latin-1") if found else ""
