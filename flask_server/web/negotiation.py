"""Agree with the caller on the form of an answer (RFC 9110, section 12).

Knows the ``Accept`` header only. A caller can rely on one promise: what is returned is one of the
offered types, or ``NotAcceptable`` says which they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.datastructures import MIMEAccept

from flask_server.errors import NotAcceptable

JSON = "application/json"
PNG = "image/png"
JPEG = "image/jpeg"


def agreed(accept: MIMEAccept, offered: Sequence[str], why: str = "") -> str:
    """Return the offered type that the caller likes best, the first one where that is equal.

    ``why`` is a sentence for those who get none: what narrowed the offer.
    """
    if not accept:
        return offered[0]
    # None of what is offered has parameters, such as the charset that some callers add.
    accept = MIMEAccept([(kind.split(";")[0].strip(), quality) for kind, quality in accept])
    # Unlike best_match, quality lets the most specific range decide: "*/*, image/png;q=0".
    best = max(offered, key=accept.quality)
    if accept.quality(best) > 0:
        return best
    allowed = ", ".join(offered)
    received = accept.to_header()[:200]
    raise NotAcceptable(f"{why}Accept is {received}; allowed is one of {allowed}.")
