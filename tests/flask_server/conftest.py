"""Pictures drawn in the test, a stub Serving on a real socket, and a gateway in front of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.flask_server.stub_serving import StubServing

Picture = Callable[..., bytes]
MakeApp = Callable[..., Flask]


def draw(
    kind: str = "PNG", size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: int = 0, **save: Any
) -> bytes:
    """Noise, so that no test passes on a flat colour that survives every mistake."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return saved(Image.frombytes(mode, size, noise.tobytes()), kind, **save)


def flat(
    color: str | int | tuple[int, ...], mode: str = "RGB", kind: str = "PNG", **save: Any
) -> bytes:
    return saved(Image.new(mode, (8, 8), color), kind, **save)


def saved(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@pytest.fixture
def serving() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        yield stub


@pytest.fixture
def make_app(serving: StubServing, tmp_path: Path) -> Iterator[MakeApp]:
    apps: list[Flask] = []

    def make(models: str = '[models.toy]\nbase_path = "toy"\n', **settings: Any) -> Flask:
        (tmp_path / "models.toml").write_text(models)
        fields: dict[str, Any] = {
            "serving_url": serving.url,
            "models_file": tmp_path / "models.toml",
            "poll_interval_s": 0.05,
            "deadline_s": 60.0,
        }
        app = create_app(Settings(**(fields | settings)))
        apps.append(app)
        return app

    yield make
    for app in apps:
        close_app(app)


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()
