"""Create and revoke API keys in the key file.

A running gateway sees a change within about a second. The file is replaced atomically under a lock,
so a reader never sees half of it and concurrent writers lose no change. Only its owner may read it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flask_server.access.key_file import (
    PREFIX,
    ApiKey,
    KeyFileError,
    checked_limit,
    checked_name,
    format_keys,
    hash_of,
    read_keys,
)

KEY_BYTES = 32


def create(path: Path, name: str, limit: str | None = None) -> str:
    """Add a new key to the file, which is created when absent, and return the key."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = ApiKey(checked_name(name), hash_of(key), created_at, checked_limit(limit))
    with _locked(path):
        keys = read_keys(path) if path.exists() else ()
        if any(other.name == name for other in keys):
            raise KeyFileError(f"There is a key named {name!r} already; choose another name.")
        _replace(path, format_keys((*keys, entry)))
    return key


def revoke(path: Path, name: str) -> None:
    """Remove the key with this name from the file."""
    with _locked(path):
        keys = read_keys(path)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise KeyFileError(f"There is no key named {name!r}; known are {known}.")
        _replace(path, format_keys(left))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; a separate file is locked because the key file itself is replaced."""
    path = path.resolve()
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, text: str) -> None:
    """Replace the file atomically by one with mode 0600; open readers still see the old one."""
    path = path.resolve()
    draft, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _keep_owner(draft, path)
            os.fsync(draft)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _keep_owner(draft: int, path: Path) -> None:
    """Keep the owner when root writes, so that the gateway's user can go on reading the file."""
    if os.geteuid() == 0 and path.exists():
        status = path.stat()
        os.fchown(draft, status.st_uid, status.st_gid)
