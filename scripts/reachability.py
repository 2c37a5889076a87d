"""Find out within seconds whether a file on the web can be fetched. Stdlib only.

The question goes the way of the later download, proxies included. It is asked in a thread, because
a name that no server resolves can hold ``getaddrinfo`` far longer than any socket's time-out.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request


def problem(url: str, *, timeout_s: float) -> str:
    """Return why the file cannot be fetched, or "" when it can."""
    answer = [f"no answer within {timeout_s:g} seconds"]
    asking = threading.Thread(target=_ask, args=(url, timeout_s, answer), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return answer[-1]


def _ask(url: str, timeout_s: float, answer: list[str]) -> None:
    """Append the problem, if any; a late append is simply not read."""
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (the caller's address)
        with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310
            answer.append("")
    except urllib.error.HTTPError as error:
        answer.append(f"HTTP status {error.code}")
        error.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        answer.append(getattr(reason, "strerror", None) or str(reason))
