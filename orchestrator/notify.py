"""Report readiness to systemd, for units with ``Type=notify``."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(message: str) -> None:
    """Send one message to the socket named by ``NOTIFY_SOCKET``; errors are ignored."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    if address.startswith("@"):  # @ stands for the zero byte of an abstract socket name
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return
