"""Hold every API key to its limit, counted in this process or, for several, together in Redis.

A Redis that is away takes nothing down: until it answers again each process counts for itself.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from flask import Flask, Response, g
from flask_limiter import Limiter, RateLimitExceeded
from limits.errors import ConfigurationError
from limits.storage import MemoryStorage, RedisStorage, Storage

from flask_server.errors import RateLimited
from flask_server.serving.breaker import Breaker
from flask_server.settings import Settings, SettingsError
from flask_server.web.problem_documents import answer_gateway_error

log = logging.getLogger(__name__)

MEMORY = "memory://"

#: Timeout in seconds for connecting to Redis and for each reply; the request waits that long.
REDIS_TIMEOUT_S = 0.25

#: Seconds between two tries of a Redis that is away.
PROBE_S = 2.0

_OURS = "gateway+"

Result = TypeVar("Result")


def check(limits_url: str) -> None:
    """Raise SettingsError where nothing can be counted; a Redis that is away is no reason."""
    if limits_url != MEMORY:
        _redis(limits_url)


def init_app(app: Flask, settings: Settings) -> None:
    """Count each request that has a ``g.api_key`` and refuse those over its limit."""
    url = settings.limits_url
    limiter = Limiter(
        lambda: str(g.api_key.id),
        app=app,
        application_limits=[lambda: g.api_key.limit or settings.rate_limit],
        storage_uri=url if url == MEMORY else _OURS + url,
        strategy="fixed-window",
        key_prefix="image-gateway",
    )
    limiter.request_filter(lambda: "api_key" not in g)
    app.register_error_handler(RateLimitExceeded, lambda _: _refuse(limiter))


def _refuse(limiter: Limiter) -> Response:
    breached = limiter.current_limit
    assert breached is not None  # noqa: S101 - Flask-Limiter has just set it
    # Told up to a second late, so that nobody comes too early, but never later than a whole window.
    left_s = math.ceil(breached.reset_at - time.time())
    wait_s = min(max(1, left_s), breached.limit.get_expiry())
    sentence = f"Key {g.api_key.name!r} may ask {breached.limit}; try again in {wait_s} s."
    return answer_gateway_error(RateLimited(sentence, wait_s))


class SharedCounts(Storage):
    """Counts in Redis, and in this process while Redis is away."""

    STORAGE_SCHEME = [_OURS + scheme for scheme in ("redis", "rediss", "redis+unix")]

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._redis = _redis(uri.removeprefix(_OURS))
        self._own = MemoryStorage()
        self._breaker = Breaker(failures=1, probe_s=PROBE_S)
        self._away = False
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What asking Redis may raise."""
        return self._redis.base_exceptions

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the count; a key that expired begins anew."""
        return self._call(lambda counts: counts.incr(key, expiry, amount))

    def get(self, key: str) -> int:
        """Return the count."""
        return self._call(lambda counts: counts.get(key))

    def get_expiry(self, key: str) -> float:
        """Return when the count begins anew, as Unix time."""
        return self._call(lambda counts: counts.get_expiry(key))

    def clear(self, key: str) -> None:
        """Begin a count anew."""
        self._call(lambda counts: counts.clear(key))

    def check(self) -> bool:
        """Tell whether Redis answers."""
        return self._redis.check()

    def reset(self) -> int | None:
        """Begin all counts anew."""
        return self._call(lambda counts: counts.reset())

    def _call(self, operation: Callable[[Storage], Result]) -> Result:
        if not self._breaker.allows():
            return operation(self._own)
        try:
            result = operation(self._redis)
        except self.base_exceptions as error:
            self._breaker.failed()
            self._turned(away=True, why=str(error))
            return operation(self._own)
        self._breaker.succeeded()
        self._turned(away=False)
        return result

    def _turned(self, *, away: bool, why: str = "") -> None:
        """Log that Redis went away or came back, once."""
        with self._lock:
            before, self._away = self._away, away
        if away and not before:
            log.warning("Limits: Redis is away, each worker counts for itself meanwhile: %s", why)
        elif before and not away:
            log.info("Limits: Redis answers again and counts for all.")


def _redis(url: str) -> RedisStorage:
    """Return the counts in Redis, not connected yet."""
    try:
        return RedisStorage(
            url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        )
    except ConfigurationError:
        raise SettingsError(
            "GATEWAY_LIMITS_URL names a Redis, but its client is not installed; use memory://, or "
            "run pip install redis."
        ) from None
    except ValueError:
        # What the library says of the address may quote the password in it.
        raise SettingsError(
            "GATEWAY_LIMITS_URL is no address of a Redis; allowed is memory:// or such as "
            "redis://host:6379/0."
        ) from None
