"""The command ``tensorflow_model_server`` of an installed package: starts the embedded server."""

from __future__ import annotations

from typing import NoReturn

from model_server.packages import require_packages


def main() -> NoReturn:
    """Run the server until it is stopped, or say in one sentence which package is missing."""
    require_packages()
    from model_server.__main__ import run

    run("tensorflow_model_server")
