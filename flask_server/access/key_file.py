"""Read the file of API keys, which holds name, limit and SHA-256 of each key.

The keys themselves are not stored. A plain SHA-256 is enough, because a key has 256 random bits and
cannot be guessed. Every failure is a KeyFileError that names the place and quotes no hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flask_server.settings import SettingsError

FORMAT = 1

#: Prefix by which people and secret scanners recognise a key of this gateway.
PREFIX = "icg_"

#: Number of hex digits of the hash that identify a key in lists, logs and request counts.
ID_DIGITS = 12


class KeyFileError(SettingsError):
    """The file of API keys cannot be used."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One entry of the key file."""

    name: str
    sha256: str
    created_at: str
    limit: str | None = None
    """Limit in the notation of Flask-Limiter; None means ``GATEWAY_RATE_LIMIT``."""

    @property
    def id(self) -> str:
        """The first digits of the hash; they do not reveal the key."""
        return self.sha256[:ID_DIGITS]


def hash_of(key: str) -> str:
    """Return the SHA-256 of a key in lower-case hex digits."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of the file in their order; raise KeyFileError."""
    try:
        return parse_keys(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise KeyFileError(
            f"There is no API key file {path}; python -m flask_server.keys create NAME makes one."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"The API key file {path} cannot be read: {error}") from error
    except KeyFileError as error:
        raise KeyFileError(f"The API key file {path} cannot be used: {error}") from error


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys that the text of a key file lists."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeyFileError(f"it is not JSON: {error}.") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document != {"format": FORMAT, "keys": entries}:
        raise KeyFileError(f'allowed is an object {{"format": {FORMAT}, "keys": […]}}.')
    keys = tuple(_key(f"keys[{index}]", entry) for index, entry in enumerate(entries))
    for field in ("name", "id"):
        _check_distinct(field, [getattr(key, field) for key in keys])
    return keys


def format_keys(keys: tuple[ApiKey, ...]) -> str:
    """Return the text of a key file with these keys."""
    return json.dumps({"format": FORMAT, "keys": [asdict(key) for key in keys]}, indent=2) + "\n"


def checked_name(value: object) -> str:
    """Return the name of a key; raise KeyFileError when it is not allowed."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}", value):
        return value
    raise KeyFileError(
        f"name {_shown(value)} is not allowed; allowed are 1 to 64 letters, digits, spaces and "
        "._@+-."
    )


def checked_limit(value: object) -> str | None:
    """Return a limit in the notation of Flask-Limiter; raise KeyFileError when it is not one."""
    if value is None:
        return None
    # Imported here because it takes 20 ms, which keys without a limit of their own do not need.
    from limits import parse_many

    try:
        if all(limit.amount > 0 for limit in parse_many(str(value))):
            return str(value)
    except ValueError:
        pass
    raise KeyFileError(
        f"limit {_shown(value)} is not allowed; allowed is for example 100 per minute, or several: "
        "10 per second; 5000 per day."
    )


def _shown(value: object) -> str:
    """Return a value for a message, unless it may be a key that was put here by mistake."""
    return "with an API key in it" if PREFIX in str(value) else repr(value)


def _key(place: str, entry: object) -> ApiKey:
    if not isinstance(entry, dict) or set(entry) - {"limit"} != {"name", "sha256", "created_at"}:
        raise KeyFileError(
            f"{place} must have name, sha256, created_at, optionally limit, and nothing else."
        )
    try:
        return ApiKey(**{field: _CHECKS[field](value) for field, value in entry.items()})
    except KeyFileError as error:
        raise KeyFileError(f"{place}: {error}") from error


def _hash(value: object) -> str:
    # The value is not quoted, because it may be a key that was put here by mistake.
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value
    raise KeyFileError("sha256 is not a SHA-256; allowed are 64 hex digits in lower case.")


def _time(value: object) -> str:
    if isinstance(value, str):
        return value
    raise KeyFileError(f"created_at {_shown(value)} is not allowed; allowed is a string.")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": checked_name,
    "sha256": _hash,
    "created_at": _time,
    "limit": checked_limit,
}


def _check_distinct(field: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise KeyFileError(
                f"{count} keys have the {field} {_shown(value)}; each may occur once."
            )
