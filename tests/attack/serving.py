"""The stub of Serving as a process: prints its address and runs until it is ended."""

from __future__ import annotations

import sys

from tests.flask_server.stub_serving import StubServing

if __name__ == "__main__":
    with StubServing().running() as stub:
        sys.stdout.write(f"{stub.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
