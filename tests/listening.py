"""Run HTTP servers in a thread beside a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from flask import Flask
from werkzeug.serving import make_server


@contextmanager
def listening(server: TCPServer) -> Iterator[str]:
    """Serve in a thread and yield the URL."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def app_site(app: Flask) -> Iterator[str]:
    """Serve an app, and yield the URL."""
    with listening(make_server("127.0.0.1", 0, app, threaded=True)) as url:
        yield url


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def folder_site(folder: Path) -> Iterator[str]:
    """Serve the files of a folder, and yield the URL: a site with an origin of its own."""
    handler = partial(_QuietHandler, directory=str(folder))
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url
