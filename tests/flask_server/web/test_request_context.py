from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask, g

from flask_server.deadline import Deadline
from flask_server.errors import Overloaded
from flask_server.inference.predict import PredictRequest
from flask_server.views.pictures import upright
from flask_server.web import request_context
from flask_server.web.request_context import RequestContext
from flask_server.web.services import ask, deadline, services_of
from tests.flask_server.conftest import MakeApp, b64, draw


def noting(app: Flask) -> list[RequestContext]:
    """The contexts of the app's requests, one by one as they end."""
    contexts: list[RequestContext] = []
    app.teardown_request(lambda _: contexts.append(request_context.current()))
    return contexts


def test_there_is_none_outside_of_requests(make_app: MakeApp) -> None:
    assert request_context.current_or_none() is None
    with make_app().app_context():
        assert request_context.current_or_none() is None


def test_nothing_else_about_a_request_is_kept_in_g(make_app: MakeApp) -> None:
    app = make_app()
    kept: list[set[str]] = []
    app.teardown_request(lambda _: kept.append(set(g)))

    app.test_client().post("/models/toy/predict", json={"image": b64(draw())})

    assert kept == [{"request_context"}]


def test_a_prediction_leaves_its_version_and_the_code_of_each_image(make_app: MakeApp) -> None:
    app = make_app()
    (contexts, client) = noting(app), app.test_client()

    client.post("/models/toy/predict", json={"images": [b64(draw()), "!"]})

    (context,) = contexts
    assert context.version == 1
    assert context.image_codes == [None, "invalid_base64"]
    assert context.outcome is not None
    assert (context.outcome.status, context.outcome.code) == (200, None)


def test_requests_at_the_same_time_have_contexts_of_their_own(make_app: MakeApp) -> None:
    app = make_app()
    meet = threading.Barrier(2, timeout=60)

    @app.get("/meeting")
    def meeting() -> str:
        meet.wait()
        return request_context.current().request_id

    def ask(name: str) -> str:
        return app.test_client().get("/meeting", headers={"X-Request-ID": name}).text

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["a", "b"])) == ["a", "b"]


def test_a_refused_request_holds_no_place_when_its_entry_is_written(make_app: MakeApp) -> None:
    app = make_app(max_in_flight=1)
    contexts = noting(app)

    app.test_client().post("/models/toy/predict", json={"image": "!"})

    assert [context.outcome.code for context in contexts if context.outcome] == ["invalid_base64"]
    assert services_of(app).predictions.count == 0


def test_drawing_has_the_deadline_with_which_the_request_began(make_app: MakeApp) -> None:
    app = make_app()
    memory = services_of(app).gateway.memory
    with app.test_request_context("/models/toy/predict", method="POST"):
        request_context.begin()
        ask(PredictRequest(model="toy", uploads=[draw()]))
        began = request_context.current().deadline
        request_context.current().deadline = Deadline(0)
        assert memory.reserve(memory.total)

        assert began is not None
        assert deadline() is not began
        with pytest.raises(Overloaded, match="until the deadline of 0 s passed"), upright(draw()):
            pass


def test_an_explanation_has_one_deadline(make_app: MakeApp) -> None:
    app = make_app(deadline_s=20)
    contexts = noting(app)

    # A picture would be drawn, which begins a deadline if there is none.
    body = {"image": b64(draw()), "grid": 2, "format": "json"}
    app.test_client().post("/models/toy/explain", json=body)

    assert contexts[0].deadline is not None
    assert contexts[0].deadline.seconds == 20
