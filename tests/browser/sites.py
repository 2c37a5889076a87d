"""The gateway on a real socket, so that a browser can visit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.listening import listening
from tests.running import write_models_file


class _KeepAlive(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def gateway(
    serving_url: str, models: Mapping[str, Path | str] | str, folder: Path, **settings: Any
) -> Iterator[str]:
    """Run a gateway in this process and yield its URL; ``models`` may be the text of its file."""
    models_file = write_models_file(models, folder)
    fields: dict[str, Any] = {"poll_interval_s": 0.3, "deadline_s": 60.0, "metrics": False}
    fields |= {"log_format": "text"}
    app = create_app(
        Settings(serving_url=serving_url, models_file=models_file, **(fields | settings))
    )
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_KeepAlive)
    try:
        with listening(server) as url:
            yield url
    finally:
        close_app(app)
