"""Hold every API key to its limit, counted in this process or, for several processes, in Redis.

The headers of a response say what is left, as ``quota_headers`` writes them.
"""

from __future__ import annotations

import math
import time

from flask import Flask, Response
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit

from flask_server.access import local_counts, quota_headers, shared_counts
from flask_server.access.quota_headers import Left
from flask_server.errors import RateLimited
from flask_server.settings import Settings
from flask_server.web import request_context
from flask_server.web.problem_documents import answer_gateway_error
from flask_server.web.request_context import Caller

MEMORY = "memory://"


def check(limits_url: str) -> None:
    """Raise SettingsError for an unusable URL; a Redis that is not reachable now is accepted."""
    if limits_url != MEMORY:
        shared_counts.redis_storage(limits_url)


def init_app(app: Flask, settings: Settings) -> None:
    """Count the requests of each API key, and refuse those over the limit of the key."""
    url = settings.limits_url
    limiter = Limiter(
        lambda: _caller().id,
        app=app,
        application_limits=[lambda: _limits(settings)],
        storage_uri=_storage_uri(url),
        strategy="fixed-window",
        key_prefix="image-gateway",
    )
    limiter.request_filter(lambda: request_context.current().caller is None)
    app.register_error_handler(RateLimitExceeded, lambda _: _refuse(limiter))
    app.after_request(lambda response: _add_headers(response, limiter, settings))


def _storage_uri(limits_url: str) -> str:
    """Return the address under which Flask-Limiter finds this project's storage."""
    if limits_url == MEMORY:
        return f"{local_counts.SCHEME}://"
    return shared_counts.storage_uri(limits_url)


def _caller() -> Caller:
    caller = request_context.current().caller
    assert caller is not None  # noqa: S101 - requests without a caller are not counted
    return caller


def _limits(settings: Settings) -> str:
    return _caller().limit or settings.rate_limit


def _refuse(limiter: Limiter) -> Response:
    breached = limiter.current_limit
    assert breached is not None  # noqa: S101 - Flask-Limiter has just set it
    wait_s = _reset_s(breached)
    sentence = f"Key {_caller().name!r} is limited to {breached.limit}; try again in {wait_s} s."
    return answer_gateway_error(RateLimited(sentence, wait_s))


def _add_headers(response: Response, limiter: Limiter, settings: Settings) -> Response:
    """Add what is left of the quotas to the response to a request that was counted.

    A refusal names the quotas up to the one that is used up, since the others were not counted.
    Nothing of the response is read, so hooks that change it may run before or after this one.
    """
    counted = limiter.current_limits
    if counted:
        response.headers[quota_headers.POLICY] = quota_headers.policy(_limits(settings))
        response.headers[quota_headers.LEFT] = quota_headers.left(
            Left(each.limit, each.remaining, _reset_s(each)) for each in counted
        )
    return response


def _reset_s(limit: RequestLimit) -> int:
    """Return the seconds until the window of a limit ends.

    Rounded up, so that no caller retries too early, but never longer than a whole window.
    """
    left_s = math.ceil(limit.reset_at - time.time())
    return min(max(1, left_s), limit.limit.get_expiry())
