"""Count requests in Redis, and in this process while Redis is unreachable.

Flask-Limiter's own in_memory_fallback_enabled is not used, because tests of it showed three faults.
When Redis hangs, every concurrent request but the first is answered with 500. It logs one warning
per concurrent request. It retries Redis after 1, 2, 4 … 32 s instead of every two.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from limits.errors import ConfigurationError
from limits.storage import RedisStorage, Storage

from flask_server.access.local_counts import LocalCounts
from flask_server.serving.breaker import Breaker
from flask_server.settings import SettingsError
from model_catalog.installation import install_command

log = logging.getLogger(__name__)

#: Timeout in seconds for connecting to Redis and for each reply; the request waits that long.
REDIS_TIMEOUT_S = 0.25

#: Seconds between two attempts to reach a Redis that is unreachable.
PROBE_S = 2.0

#: Tells Flask-Limiter to use SharedCounts instead of the storage of ``limits``.
_SCHEME_PREFIX = "gateway+"

Result = TypeVar("Result")


def storage_uri(url: str) -> str:
    """Return the address under which Flask-Limiter finds SharedCounts for this Redis."""
    return _SCHEME_PREFIX + url


class SharedCounts(Storage):
    """Request counts in Redis, or in this process while Redis is unreachable."""

    STORAGE_SCHEME = [_SCHEME_PREFIX + scheme for scheme in ("redis", "rediss", "redis+unix")]

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._redis = redis_storage(uri.removeprefix(_SCHEME_PREFIX))
        self._local = LocalCounts()
        self._breaker = Breaker(failures=1, probe_s=PROBE_S)
        self._unreachable = False
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Exceptions that a call to Redis may raise."""
        return self._redis.base_exceptions

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count and return it; a count expires ``expiry`` seconds after its start."""
        return self._call(lambda counts: counts.incr(key, expiry, amount))

    def get(self, key: str) -> int:
        """Return a count."""
        return self._call(lambda counts: counts.get(key))

    def get_expiry(self, key: str) -> float:
        """Return when a count expires, in Unix time."""
        return self._call(lambda counts: counts.get_expiry(key))

    def clear(self, key: str) -> None:
        """Set a count to zero."""
        self._call(lambda counts: counts.clear(key))

    def check(self) -> bool:
        """Return whether Redis replies."""
        return self._redis.check()

    def reset(self) -> int | None:
        """Set all counts to zero."""
        return self._call(lambda counts: counts.reset())

    def _call(self, operation: Callable[[Storage], Result]) -> Result:
        if not self._breaker.allows():
            return operation(self._local)
        try:
            result = operation(self._redis)
        except self.base_exceptions as error:
            self._breaker.failed()
            self._note_unreachable(error)
            return operation(self._local)
        self._breaker.succeeded()
        self._note_reachable()
        return result

    def _note_unreachable(self, error: Exception) -> None:
        with self._lock:
            known, self._unreachable = self._unreachable, True
        if not known:
            log.warning("Limits: Redis does not answer, so each worker counts by itself: %s", error)

    def _note_reachable(self) -> None:
        with self._lock:
            was_unreachable, self._unreachable = self._unreachable, False
        if was_unreachable:
            log.info("Limits: Redis answers again and counts for all workers.")


def redis_storage(url: str) -> RedisStorage:
    """Return the storage for a Redis, without connecting to it yet; raise SettingsError."""
    try:
        return RedisStorage(
            url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        )
    except ConfigurationError:
        raise SettingsError(
            "GATEWAY_LIMITS_URL is the address of a Redis server, but the package redis is not "
            f"installed; use memory://, or run {install_command('redis')}"
        ) from None
    except ValueError:
        # The library's message may quote the password that is part of the URL.
        raise SettingsError(
            "GATEWAY_LIMITS_URL is not the address of a Redis server; allowed is memory:// or an "
            "address like redis://host:6379/0."
        ) from None
