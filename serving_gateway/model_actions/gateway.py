"""The gateway that an action asks: its options, its client, and the wait for a change."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scripts.errors import ScriptError
from serving_gateway.instance import Instance
from serving_gateway.model_actions.output import say

if TYPE_CHECKING:
    from scripts.gateway.client import GatewayClient
    from scripts.versions.waiting import Wanted

_WAIT_S = 120.0


def gateway_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a gateway; without them, it is the one that runs."""
    from scripts.gateway.addresses import add_gateway_options

    add_gateway_options(parser, url=None)


def wait_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an action that waits until the gateway has its change."""
    gateway_options(parser)
    parser.add_argument("--no-wait", action="store_true", help="change the file and return at once")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_WAIT_S,
        metavar="SECONDS",
        help="longest time until the gateway has the change (%(default)g)",
    )


def gateway_client(options: argparse.Namespace, instance: Instance) -> GatewayClient | None:
    """Return a client of the gateway; None where none is named and nothing runs."""
    from scripts.gateway.client import GatewayClient

    url = options.url or instance.gateway_url
    return GatewayClient(url, options.api_key) if url else None


def wait_for_gateway(
    options: argparse.Namespace, instance: Instance, wanted: Wanted, undo: str
) -> None:
    """Wait until the gateway has a change, unless nothing runs; say how it ended.

    ``undo`` is told with a failure. Raises ScriptError if the change does not come.
    """
    from scripts.versions.waiting import wait_until

    if options.no_wait:
        return
    client = gateway_client(options, instance)
    if client is None:
        say("nothing is running; the next start uses it")
        return
    try:
        seconds = wait_until(client, wanted, options.timeout)
    except ScriptError as error:
        raise ScriptError(f"{error} {instance.models_file} has the change; {undo}") from error
    finally:
        client.close()
    say(f"the gateway has it, after {seconds:.1f} s")
