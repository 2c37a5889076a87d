"""Hold every API key to its limit, counted in this process or, for several processes, in Redis."""

from __future__ import annotations

import math
import time

from flask import Flask, Response, g
from flask_limiter import Limiter, RateLimitExceeded

from flask_server.access import shared_counts
from flask_server.errors import RateLimited
from flask_server.settings import Settings
from flask_server.web.problem_documents import answer_gateway_error

MEMORY = "memory://"


def check(limits_url: str) -> None:
    """Raise SettingsError for an unusable URL; a Redis that is not reachable now is accepted."""
    if limits_url != MEMORY:
        shared_counts.redis_storage(limits_url)


def init_app(app: Flask, settings: Settings) -> None:
    """Count each request that has a ``g.api_key`` and refuse those over its limit."""
    url = settings.limits_url
    limiter = Limiter(
        lambda: str(g.api_key.id),
        app=app,
        application_limits=[lambda: g.api_key.limit or settings.rate_limit],
        storage_uri=url if url == MEMORY else shared_counts.storage_uri(url),
        strategy="fixed-window",
        key_prefix="image-gateway",
    )
    limiter.request_filter(lambda: "api_key" not in g)
    app.register_error_handler(RateLimitExceeded, lambda _: _refuse(limiter))


def _refuse(limiter: Limiter) -> Response:
    breached = limiter.current_limit
    assert breached is not None  # noqa: S101 - Flask-Limiter has just set it
    # Rounded up, so that no caller retries too early, but never longer than a whole window.
    left_s = math.ceil(breached.reset_at - time.time())
    wait_s = min(max(1, left_s), breached.limit.get_expiry())
    sentence = f"Key {g.api_key.name!r} is limited to {breached.limit}; try again in {wait_s} s."
    return answer_gateway_error(RateLimited(sentence, wait_s))
