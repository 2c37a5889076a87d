"""The command-line options that say where the gateway is."""

from __future__ import annotations

import argparse

URL = "http://127.0.0.1:5000"
KEY_VARIABLE = "GATEWAY_API_KEY"


def add_gateway_options(parser: argparse.ArgumentParser, url: str | None = URL) -> None:
    """Add ``--url`` and ``--api-key``; without a URL, the help says how one is found."""
    told = "%(default)s" if url else "that of the running instance"
    parser.add_argument("--url", default=url, help=f"root URL of the gateway ({told})")
    parser.add_argument(
        "--api-key", help=f"API key, when the gateway needs one (environment: {KEY_VARIABLE})"
    )
