"""Exit with 0 if a path of a local port is answered with 200: ``healthcheck.py 5000 /healthz``."""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 3


def answers(port: int, path: str) -> bool:
    """Return whether a GET is answered with 200; proxies of the environment are not asked."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not answers(int(sys.argv[1]), sys.argv[2]))
