"""Tell systemd how far the start is, where systemd asks for it (``Type=notify``)."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(message: str) -> None:
    """Send one message to ``NOTIFY_SOCKET``, if there is one; nobody listening is fine."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace is written with @ for its zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        try:
            mouth.sendto(message.encode(), address)
        except OSError:
            return
