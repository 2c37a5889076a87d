"""Choose the media type of a response by the ``Accept`` header (RFC 9110, section 12)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from flask import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from flask_server.errors import NotAcceptable

JSON = "application/json"
PNG = "image/png"
JPEG = "image/jpeg"
#: A file of numpy, one array. There is no registered type.
NPY = "application/x-npy"


#: Maximum length of a header whose media ranges are kept; that of a browser has 140 characters.
_MAX_KNOWN = 256
_BARE_FRACTION = re.compile(r"(;\s*q\s*=\s*)(?=\.\d)", re.IGNORECASE)


def accepted(request: Request) -> MIMEAccept:
    """Return the media ranges of a request; Java writes ``q=.2``, which Werkzeug would drop."""
    header = request.headers.get("Accept", "")
    # The view reads the header up to three times, and clients send few different ones.
    return _known_ranges(header) if len(header) <= _MAX_KNOWN else _ranges(header)


def _ranges(header: str) -> MIMEAccept:
    return parse_accept_header(_BARE_FRACTION.sub(r"\g<1>0", header), MIMEAccept)


_known_ranges = lru_cache(maxsize=64)(_ranges)


def agreed(
    accept: MIMEAccept,
    offered: Sequence[str],
    reason: str | None = None,
    default: str | None = None,
) -> str:
    """Return the offered type that the caller prefers, the first one of equally preferred ones.

    ``default`` is returned to every caller that accepts it, preferred or not: the default headers
    of some HTTP libraries list image types before a wildcard, without a wish for an image.

    Raises NotAcceptable when the caller accepts none; the error then begins with ``reason``, a
    sentence that says why fewer types than usual are offered.
    """
    if not accept:
        return offered[0]
    # Parameters of media ranges, such as a charset, are dropped: no offered type has any.
    if any(kind != _without_parameters(kind) for kind, _ in accept):
        accept = MIMEAccept([(_without_parameters(kind), quality) for kind, quality in accept])
    if default is not None and accept.quality(default) > 0:
        return default
    # The most specific range decides, as in "*/*, image/png;q=0"; best_match of Werkzeug differs.
    best = max(offered, key=accept.quality)
    if accept.quality(best) > 0:
        return best
    allowed = ", ".join(offered)
    received = accept.to_header()[:200]
    sentence = f"Accept is {received}; allowed is one of {allowed}."
    raise NotAcceptable(sentence if reason is None else f"{reason} {sentence}")


def _without_parameters(media_range: str) -> str:
    """Return the media range alone; ``*``, which old libraries send, means ``*/*``."""
    media_range = media_range.split(";")[0].strip()
    return "*/*" if media_range == "*" else media_range
