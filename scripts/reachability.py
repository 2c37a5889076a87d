"""Tell whether an address is this machine's own, and whether a file can be downloaded. Stdlib only.

A HEAD request takes the same route as the later download, proxies included. It is sent from a
thread, because an unresolvable name can hold ``getaddrinfo`` longer than any socket's time-out.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from ipaddress import ip_address
from urllib.parse import urlsplit


def problem(url: str, *, timeout_s: float) -> str | None:
    """Return why the file cannot be downloaded, or None when it can."""
    outcomes: list[str | None] = [f"no response within {timeout_s:g} seconds"]
    request = threading.Thread(target=_request, args=(url, timeout_s, outcomes), daemon=True)
    request.start()
    request.join(timeout_s)
    return outcomes[-1]


def is_loopback(url: str) -> bool:
    """Tell whether the host of the address is this machine, which no proxy can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _request(url: str, timeout_s: float, outcomes: list[str | None]) -> None:
    """Append the outcome; one that comes after the time-out is never read."""
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (the caller's address)
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310  # nosec B310
            outcomes.append(None)
    except urllib.error.HTTPError as error:
        outcomes.append(f"HTTP status {error.code}")
        error.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        outcomes.append(getattr(reason, "strerror", None) or str(reason))
