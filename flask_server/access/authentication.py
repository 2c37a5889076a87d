"""Require a known API key, and limit the requests of each key.

Authentication is off until a key file is configured. Then every path needs a key, except those
below ``OPEN_BELOW`` and those of views whose ``RouteTraits`` say that they need none. So a new
route needs a key by default. CORS preflights never need one.
"""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, request

from flask_server.access.key_file import read_keys
from flask_server.access.key_store import KeyStore
from flask_server.errors import InvalidApiKey, MissingApiKey
from flask_server.settings import Settings
from flask_server.web import request_context
from flask_server.web.route_traits import traits_of

#: Prefixes of open paths.
OPEN_BELOW = ("/static/", "/docs/")

PER_WORKER = (
    "API keys: limits are counted in memory and hold per worker, so with {} workers a key may send "
    "up to that many times its limit; GATEWAY_LIMITS_URL=redis://host:6379/0 counts them together."
)


def check(settings: Settings) -> None:
    """Raise SettingsError when the key file or the URL for limits cannot be used."""
    if settings.api_keys_file is not None:
        from flask_server.access import quotas

        read_keys(settings.api_keys_file)
        quotas.check(settings.limits_url)


def per_worker_warning(settings: Settings, workers: int) -> str | None:
    """Return the warning that limits hold per worker, or None when they hold for all workers."""
    if settings.api_keys_file is None or workers < 2:
        return None
    from flask_server.access import quotas

    return PER_WORKER.format(workers) if settings.limits_url == quotas.MEMORY else None


def key_store(settings: Settings, *, allow_unavailable: bool = False) -> KeyStore | None:
    """Return the keys of the configured file, None where keys are off.

    Raises KeyFileError when the file cannot be read. With ``allow_unavailable`` the store refuses
    every key until the file can be read.
    """
    if settings.api_keys_file is None:
        return None
    return KeyStore(settings.api_keys_file, allow_unavailable=allow_unavailable)


def init_app(
    app: Flask, settings: Settings, known: Collection[str], store: KeyStore | None
) -> None:
    """Require one of the keys, if there is a store; the request context then has a caller.

    ``known`` are the ``open_paths`` of the app.
    """
    if store is None:
        return
    # Imported here because Flask-Limiter takes 4 MB, which a gateway without keys does not need.
    from flask_server.access import quotas

    app.before_request(lambda: _authenticate(store, known))
    quotas.init_app(app, settings)


def open_paths(app: Flask) -> frozenset[str]:
    """Return the paths of the views that need no key, without a slash at the end."""
    rules = app.url_map.iter_rules()
    return frozenset(
        rule.rule.rstrip("/") for rule in rules if not traits_of(app, rule.endpoint).needs_key
    )


def is_open(path: str, known: Collection[str]) -> bool:
    """Return whether a path needs no key; ``known`` are the ``open_paths``.

    The path is compared and not the view: a redirect and a 405 have a path but no view.
    """
    return path.rstrip("/") in known or path.startswith(OPEN_BELOW)


def _authenticate(store: KeyStore, known: Collection[str]) -> None:
    if request.method == "OPTIONS" or is_open(request.path, known):
        return
    presented = _presented_key()
    if presented is None:
        raise MissingApiKey(
            "This needs an API key; send it as X-API-Key: KEY or Authorization: Bearer KEY."
        )
    key = store.find(presented)
    if key is None:
        raise InvalidApiKey("The API key is unknown or revoked.")
    request_context.current().caller = key


def _presented_key() -> str | None:
    """Return the key of ``X-API-Key``, else of ``Authorization: Bearer``; None without either."""
    given = request.headers.get("X-API-Key", "").strip()
    if given:
        return given
    bearer = request.authorization
    return (bearer.token or None) if bearer and bearer.type == "bearer" else None
