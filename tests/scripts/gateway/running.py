"""A gateway on a real socket, in a thread, in front of a stub Serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.flask_server.stub_serving import StubServing
from tests.listening import app_site

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
    fields |= {"poll_interval_s": 0.05, "deadline_s": 60.0}
    app = create_app(Settings(**fields | settings))
    try:
        with app_site(app) as url:
            yield url
    finally:
        close_app(app)
