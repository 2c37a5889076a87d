from __future__ import annotations

import pytest
from flask import Flask

from flask_server.web.route_traits import DEFAULT, RouteTraits, traits, traits_of_request


@pytest.fixture
def app() -> Flask:
    app = Flask("traits")

    @app.get("/marked")
    @traits(revalidated=True)
    def marked() -> str:
        return repr(traits_of_request())

    @app.get("/plain")
    def plain() -> str:
        return repr(traits_of_request())

    app.register_error_handler(404, lambda _: repr(traits_of_request()))
    return app


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/marked", RouteTraits(revalidated=True)),
        ("/plain", DEFAULT),
        ("/nowhere", DEFAULT),
        ("/static/none.css", DEFAULT),
    ],
)
def test_a_request_has_the_traits_of_its_view(app: Flask, path: str, found: RouteTraits) -> None:
    assert app.test_client().get(path).text == repr(found)


def test_a_trait_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(TypeError, match="limitted"):
        traits(limitted=True)
