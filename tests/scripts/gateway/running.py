"""A gateway on a real socket, in a thread, in front of a stub Serving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.flask_server.stub_serving import StubServing

TOY = '[models.toy]\nbase_path = "toy"\n'


@contextmanager
def running_gateway(
    serving: StubServing, folder: Path, models: str = TOY, **settings: Any
) -> Iterator[str]:
    """Yield the URL of a gateway with the models file of the folder."""
    file = folder / "models.toml"
    if not file.exists():
        file.write_text(models)
    fields: dict[str, Any] = {"serving_url": serving.url, "models_file": file}
    app = create_app(Settings(**fields | {"poll_interval_s": 0.05} | settings))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        close_app(app)
