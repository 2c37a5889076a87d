"""A program that takes the place of Serving or the gateway and answers 200 to every request.

The ``.venv/bin/python`` of a ProjectSandbox starts it; the command line says its role and port.
The file ``behaviour.json`` there may change the behaviour of a role: ``exit`` ends at once,
also in its check; ``ignore_term`` ignores TERM; ``hang`` accepts connections and never answers;
``unready`` answers 503; ``broken`` reports that model m could not be loaded; ``undescribed``
is a gateway that cannot use model m; ``secret`` is such a gateway that needs a key; ``strict``
ends with code 255 when its config file has models at the start, as tensorflow_model_server does
for a broken one; ``busy`` uses CPU time and never answers.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

STATUS = {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}
BROKEN = {
    "model_version_status": [
        {"version": "1", "state": "END", "status": {"error_message": "cannot be parsed"}}
    ]
}

REASON = "Model m does not describe itself."
DESCRIPTION = {"name": "m", "error": {"code": "serving_error", "detail": REASON}}


def main() -> None:
    command = " ".join(sys.argv)
    role = "gateway" if "gunicorn" in command else "serving"
    behaviour = _behaviour(role)
    sys.stderr.write(f"{role} with PID {os.getpid()}: {command}\n")
    if behaviour == "exit":
        sys.exit(f"{role} does not like its flags")
    if "--check-config" in command:
        return
    if behaviour == "strict" and "name:" in _config(command):
        sys.exit(255)
    if behaviour == "secret":
        sys.stderr.write(f"WARNING model m: serving_error: {REASON}\n")
    if behaviour == "ignore_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    match = re.search(r"--(?:rest_api_port=|bind \S+:)(\d+)", command)
    assert match is not None
    _serve(int(match[1]), role)


def _behaviour(role: str) -> str:
    with suppress(FileNotFoundError):  # a test may remove it at any time
        return str(json.loads(Path("behaviour.json").read_text()).get(role, ""))
    return ""


def _serve(port: int, role: str) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        caller, _ = listener.accept()
        asked = caller.recv(65536)
        while (behaviour := _behaviour(role)) in {"hang", "busy"}:
            time.sleep(0.05 if behaviour == "hang" else 0)
        status, body = _answer(behaviour, asked)
        head = b"HTTP/1.0 %d Fake\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        caller.sendall(head + body)
        caller.close()


def _answer(behaviour: str, asked: bytes) -> tuple[int, bytes]:
    about_m = b"/models/m " in asked
    if behaviour == "unready":
        return 503, json.dumps(STATUS).encode()
    if behaviour in {"undescribed", "secret"} and b"/readyz?model=m " in asked:
        return 503, b'{"detail": "Not ready: m."}'
    if behaviour == "secret" and about_m:
        return 401, b'{"detail": "A key is needed."}'
    if behaviour == "undescribed" and about_m:
        return 200, json.dumps(DESCRIPTION).encode()
    return 200, json.dumps(BROKEN if behaviour == "broken" and about_m else STATUS).encode()


def _config(command: str) -> str:
    match = re.search(r"--model_config_file=(\S+)", command)
    return Path(match[1]).read_text() if match else ""


if __name__ == "__main__":
    main()
