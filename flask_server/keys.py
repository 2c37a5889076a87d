"""Create, list and revoke API keys: python -m flask_server.keys create NAME.

A running gateway sees a change within about a second. The file is replaced whole under a lock, so
no reader meets half of it and two writers lose nothing; only its owner may read it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flask_server.access.key_file import (
    ApiKey,
    KeyFileError,
    checked_limit,
    checked_name,
    format_keys,
    hash_of,
    read_keys,
)
from flask_server.settings import Settings, SettingsError

#: Lets a person, and programs that look for leaked secrets, see what such a text is.
PREFIX = "icg_"
KEY_BYTES = 32

ONCE = (
    "This is the only time the key is shown. Send it as `X-API-Key: KEY` or "
    "`Authorization: Bearer KEY`.\n"
)


def create(path: Path, name: str, limit: str | None = None) -> str:
    """Add a new key to the file, which may not exist yet, and return it."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = ApiKey(checked_name(name), hash_of(key), created_at, checked_limit(limit))
    with _locked(path):
        keys = read_keys(path) if path.exists() else ()
        if any(other.name == name for other in keys):
            raise KeyFileError(f"There is a key named {name!r} already; each name may stand once.")
        _replace(path, format_keys((*keys, entry)))
    return key


def revoke(path: Path, name: str) -> None:
    """Take the key with this name out of the file."""
    with _locked(path):
        keys = read_keys(path)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise KeyFileError(f"There is no key named {name!r}; known are {known}.")
        _replace(path, format_keys(left))


def table(keys: Sequence[ApiKey]) -> str:
    """Return the keys as lines for a person; neither keys nor hashes are among them."""
    rows = [("NAME", "ID", "CREATED", "LIMIT")]
    rows += [(key.name, key.id, key.created_at, key.limit or "default") for key in keys]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    pattern = "  ".join(f"{{:{width}}}" for width in widths) + "  {}\n"
    return "".join(pattern.format(*row) for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 misused."""
    options = _parser().parse_args(argv)
    try:
        path = options.file or Settings.from_env(os.environ).api_keys_file
        if path is None:
            return _said(2, "Which file? Name it by --file or GATEWAY_API_KEYS_FILE.")
        options.run(path, options)
    except SettingsError as error:
        return _said(1, str(error))
    except OSError as error:
        return _said(1, f"The API key file {path} cannot be changed: {error}")
    return 0


def _create(path: Path, options: argparse.Namespace) -> None:
    sys.stdout.write(create(path, options.name, options.limit) + "\n")
    sys.stderr.write(ONCE)


def _list(path: Path, _: argparse.Namespace) -> None:
    sys.stdout.write(table(read_keys(path)))


def _revoke(path: Path, options: argparse.Namespace) -> None:
    revoke(path, options.name)


def _said(code: int, sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flask_server.keys", description="Create, list and revoke API keys."
    )
    parser.add_argument("--file", type=Path, help="key file (default: GATEWAY_API_KEYS_FILE)")
    commands = parser.add_subparsers(required=True, metavar="create|list|revoke")
    adding = commands.add_parser("create", help="make a key and print it, once")
    adding.add_argument("name", help="whose key this is")
    adding.add_argument("--limit", help="such as '100 per minute' (default: GATEWAY_RATE_LIMIT)")
    adding.set_defaults(run=_create)
    commands.add_parser("list", help="show all keys but the secrets").set_defaults(run=_list)
    removing = commands.add_parser("revoke", help="refuse a key from now on")
    removing.add_argument("name", help="the name it was created with")
    removing.set_defaults(run=_revoke)
    return parser


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other writers out. The file itself is replaced, so the lock lies beside it."""
    path = path.resolve()
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, text: str) -> None:
    """Put a new file with mode 0600 in the place of the old one, which a reader may still hold."""
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
    """Root may add keys to a file that the gateway's own user must go on reading."""
    if os.geteuid() == 0 and path.exists():
        status = path.stat()
        os.fchown(draft, status.st_uid, status.st_gid)


if __name__ == "__main__":
    sys.exit(main())
