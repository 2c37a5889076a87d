"""Write the quotas of a key as the headers RateLimit-Policy and RateLimit.

Both are structured fields (RFC 9651) as in draft-ietf-httpapi-ratelimit-headers, versions 08 to 10:
lists of items with parameters, one item for each window. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from limits import RateLimitItem, parse_many

POLICY = "RateLimit-Policy"
LEFT = "RateLimit"


class Left(NamedTuple):
    """The part of one quota that is left in the running window."""

    limit: RateLimitItem
    requests: int
    reset_s: int


@lru_cache(maxsize=256)
def policy(limits: str) -> str:
    """Return the value of ``RateLimit-Policy`` for limits in the notation of Flask-Limiter."""
    # Of several limits with the same window, the smallest is the one that is reached.
    smallest: dict[str, RateLimitItem] = {}
    for limit in sorted(parse_many(limits), key=lambda limit: (limit.get_expiry(), limit.amount)):
        smallest.setdefault(_window(limit), limit)
    return ", ".join(
        f'"{name}";q={limit.amount};w={limit.get_expiry()}' for name, limit in smallest.items()
    )


def left(quotas: Iterable[Left]) -> str:
    """Return the value of ``RateLimit``."""
    least: dict[str, Left] = {}
    for quota in quotas:
        name = _window(quota.limit)
        least[name] = min(least.get(name, quota), quota, key=lambda each: each.requests)
    return ", ".join(
        f'"{name}";r={quota.requests};t={quota.reset_s}' for name, quota in least.items()
    )


def _window(limit: RateLimitItem) -> str:
    """Return the name of a quota: the unit of its window, such as minute, or 5-minutes."""
    unit = limit.GRANULARITY.name
    return unit if limit.multiples == 1 else f"{limit.multiples}-{unit}s"
