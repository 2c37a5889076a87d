"""Divide the requests of a model among its version labels: the point of a request in the split."""

from __future__ import annotations

import hashlib
import random

_BYTES = 8


def split_point(model: str, affinity: str | None) -> float:
    """Return a number from 0 to 1 (exclusive), the same one for the same model and ``affinity``.

    ``affinity`` is what requests of one caller have in common; None gives a random number. Models
    have points of their own, so that no caller gets the new version of every model.
    """
    if affinity is None:
        return random.random()  # noqa: S311 - not for secrets
    digest = hashlib.sha256(f"{model}\0{affinity}".encode(errors="surrogatepass")).digest()
    # 53 bits are what a float holds exactly.
    return (int.from_bytes(digest[:_BYTES]) >> 11) / 2**53
