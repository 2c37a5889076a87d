"""Read the file of API keys: who may ask, by the hash of each key.

The keys themselves stand nowhere: 256 random bits cannot be guessed from their SHA-256. Knows
nothing about HTTP. Every failure is a ``KeyFileError`` that names the place and quotes no hash.
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

#: Hex digits of a hash that name its key: in lists, in logs and where quotas are counted.
ID_DIGITS = 12


class KeyFileError(SettingsError):
    """The file of API keys cannot be used."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the gateway knows of one key."""

    name: str
    sha256: str
    created_at: str
    limit: str | None = None
    """How much this key may ask; None is the default of the gateway."""

    @property
    def id(self) -> str:
        """The beginning of the hash, which gives nothing away."""
        return self.sha256[:ID_DIGITS]


def hash_of(key: str) -> str:
    """Return the SHA-256 of a key as the file has it."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of the file, in its order."""
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
    """Return the name of a key, or raise what is allowed as one."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}", value):
        return value
    raise KeyFileError(
        f"name {value!r} is not allowed; allowed are 1 to 64 letters, digits, spaces and ._@+-."
    )


def checked_limit(value: object) -> str | None:
    """Return a limit in Flask-Limiter's notation, or raise what is allowed."""
    if value is None:
        return None
    # Flask-Limiter's own package: 20 ms that keys without a limit of their own need not spend.
    from limits import parse_many

    try:
        if all(limit.amount > 0 for limit in parse_many(str(value))):
            return str(value)
    except ValueError:
        pass
    raise KeyFileError(
        f"limit {value!r} is not allowed; allowed is such as 100 per minute, or several: "
        "10 per second; 5000 per day."
    )


def _key(place: str, entry: object) -> ApiKey:
    if not isinstance(entry, dict) or set(entry) - {"limit"} != {"name", "sha256", "created_at"}:
        raise KeyFileError(f"{place} is no object with name, sha256, created_at and maybe limit.")
    try:
        return ApiKey(**{field: _CHECKS[field](value) for field, value in entry.items()})
    except KeyFileError as error:
        raise KeyFileError(f"{place}: {error}") from error


def _hash(value: object) -> str:
    # Somebody may have put a key here by mistake, so the value is not quoted.
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value
    raise KeyFileError("sha256 is no SHA-256; allowed are 64 hex digits in lower case.")


def _time(value: object) -> str:
    if isinstance(value, str):
        return value
    raise KeyFileError(f"created_at {value!r} is not allowed; allowed is a text.")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": checked_name,
    "sha256": _hash,
    "created_at": _time,
    "limit": checked_limit,
}


def _check_distinct(field: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise KeyFileError(f"{count} keys have the {field} {value!r}; each may stand once.")
