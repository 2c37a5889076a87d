"""Choose the media type of a response by the ``Accept`` header (RFC 9110, section 12)."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.datastructures import MIMEAccept

from flask_server.errors import NotAcceptable

JSON = "application/json"
PNG = "image/png"
JPEG = "image/jpeg"


def agreed(accept: MIMEAccept, offered: Sequence[str], reason: str | None = None) -> str:
    """Return the offered type that the caller prefers, the first one of equally preferred ones.

    Raises NotAcceptable when the caller accepts none; the error then begins with ``reason``, a
    sentence that says why fewer types than usual are offered.
    """
    if not accept:
        return offered[0]
    # Parameters of media ranges, such as a charset, are dropped: no offered type has any.
    accept = MIMEAccept([(kind.split(";")[0].strip(), quality) for kind, quality in accept])
    # The most specific range decides, as in "*/*, image/png;q=0"; best_match of Werkzeug differs.
    best = max(offered, key=accept.quality)
    if accept.quality(best) > 0:
        return best
    allowed = ", ".join(offered)
    received = accept.to_header()[:200]
    sentence = f"Accept is {received}; allowed is one of {allowed}."
    raise NotAcceptable(sentence if reason is None else f"{reason} {sentence}")
