"""A program that takes the place of Serving or the gateway and answers 200 to every request.

The ``.venv/bin/python`` of a ProjectSandbox starts it; the command line says its role and port.
The file ``behaviour.json`` there may change the behaviour of a role: ``exit`` ends at once,
also in its check; ``ignore_term`` ignores TERM; ``hang`` accepts connections and never answers;
``unready`` answers 503; ``broken`` reports that model m could not be loaded.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

STATUS = {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}
BROKEN = {
    "model_version_status": [
        {"version": "1", "state": "END", "status": {"error_message": "cannot be parsed"}}
    ]
}


def main() -> None:
    command = " ".join(sys.argv)
    role = "gateway" if "gunicorn" in command else "serving"
    behaviour = _behaviour(role)
    sys.stderr.write(f"{role} with PID {os.getpid()}: {command}\n")
    if behaviour == "exit":
        sys.exit(f"{role} does not like its flags")
    if "--check-config" in command:
        return
    if behaviour == "ignore_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    match = re.search(r"--(?:rest_api_port=|bind \S+:)(\d+)", command)
    assert match is not None
    _serve(int(match[1]), role)


def _behaviour(role: str) -> str:
    table = Path("behaviour.json")
    return str(json.loads(table.read_text()).get(role, "")) if table.exists() else ""


def _serve(port: int, role: str) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        caller, _ = listener.accept()
        asked = caller.recv(65536)
        while _behaviour(role) == "hang":
            time.sleep(0.05)
        broken = _behaviour(role) == "broken" and b"models/m " in asked
        body = json.dumps(BROKEN if broken else STATUS).encode()
        status = b"503 Busy" if _behaviour(role) == "unready" else b"200 OK"
        head = b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        caller.sendall(head + body)
        caller.close()


if __name__ == "__main__":
    main()
