"""Let few costly JSON documents be in memory at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.codec import json_cost
from model_server.errors import Unavailable
from model_server.rest.gzip_body import is_gzipped
from model_server.transport.http_messages import Request

#: A larger gzipped body may become a costly document: it grows up to a thousandfold.
_SMALL_GZIP_BYTES: Final = 4096
#: The part of the budget that one document is counted with at most. So each is read at some time,
#: and the bodies of others still fit.
_MOST: Final = 0.75
_WAIT_S: Final = 10.0
_PAUSE_S: Final = 0.01


def is_costly(request: Request) -> bool:
    """Tell whether the request may hold up others while its body is read."""
    if is_gzipped(request):
        return len(request.body) > _SMALL_GZIP_BYTES
    return json_cost.is_costly(request.body)


@contextmanager
def reserved(body: bytes, budget: ByteBudget) -> Iterator[None]:
    """Count in the budget, until the block ends, the memory that reading a costly body takes.

    Waits for others to be answered; raises Unavailable if there is no room after ten seconds.
    """
    cost = json_cost.cost(body)
    if cost <= json_cost.COSTLY_BYTES:
        yield
        return
    cost = min(cost, int(_MOST * budget.total))
    end = time.monotonic() + _WAIT_S
    while not budget.take(cost):
        if time.monotonic() > end:
            raise Unavailable(
                f"Reading the body takes about {cost} bytes of memory; others have left less of"
                " what --rest_api_max_total_bytes allows for all requests. Try again."
            )
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        budget.add(-cost)
