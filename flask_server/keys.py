"""Command line to create, list and revoke API keys: python -m flask_server.keys create NAME."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from flask_server.access.key_file import ApiKey, read_keys
from flask_server.access.key_writer import create, revoke
from flask_server.settings import Settings, SettingsError

CREATED = (
    "This is the only time the key is shown. Send it as `X-API-Key: KEY` or "
    "`Authorization: Bearer KEY`.\n"
)


def table(keys: Sequence[ApiKey]) -> str:
    """Return a table of the keys for people; it shows neither a key nor its whole hash."""
    rows = [("NAME", "ID", "CREATED", "LIMIT")]
    rows += [(key.name, key.id, key.created_at, key.limit or "default") for key in keys]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    pattern = "  ".join(f"{{:{width}}}" for width in widths) + "  {}\n"
    return "".join(pattern.format(*row) for row in rows)


def main(argv: Sequence[str] | None = None, prog: str = "python -m flask_server.keys") -> int:
    """Run one command; return 0 for success, 1 for failure, 2 for wrong usage."""
    options = parser(prog).parse_args(argv)
    try:
        path = options.file or Settings.from_env(os.environ).api_keys_file
        if path is None:
            return _failed(2, "No key file is given; name it by --file or GATEWAY_API_KEYS_FILE.")
        options.run(path, options)
    except SettingsError as error:
        return _failed(1, str(error))
    except OSError as error:
        return _failed(1, f"The API key file {path} cannot be changed: {error}")
    return 0


def _create(path: Path, options: argparse.Namespace) -> None:
    sys.stdout.write(create(path, options.name, options.limit) + "\n")
    sys.stderr.write(CREATED)


def _list(path: Path, _: argparse.Namespace) -> None:
    sys.stdout.write(table(read_keys(path)))


def _revoke(path: Path, options: argparse.Namespace) -> None:
    revoke(path, options.name)


def _failed(code: int, sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return code


def parser(prog: str) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Create, list and revoke API keys.")
    parser.add_argument("--file", type=Path, help="key file (default: GATEWAY_API_KEYS_FILE)")
    commands = parser.add_subparsers(required=True, metavar="create|list|revoke")
    adding = commands.add_parser("create", help="create a key and print it; it is not shown again")
    adding.add_argument("name", help="name of the key, for example that of its user")
    adding.add_argument(
        "--limit", help="limit of the key, such as '100 per minute' (default: GATEWAY_RATE_LIMIT)"
    )
    adding.set_defaults(run=_create)
    listing = commands.add_parser("list", help="list name, id, time and limit of all keys")
    listing.set_defaults(run=_list)
    removing = commands.add_parser(
        "revoke", help="remove a key; requests with it are refused within a second"
    )
    removing.add_argument("name", help="name of the key")
    removing.set_defaults(run=_revoke)
    return parser


if __name__ == "__main__":
    sys.exit(main())
