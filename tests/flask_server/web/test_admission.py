from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask_server.access import key_writer
from flask_server.web.admission import InFlight
from flask_server.web.services import services_of
from tests.flask_server.conftest import MakeApp
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.stub_serving import StubServing
from tests.flask_server.views.test_model_views import code
from tests.waiting import eventually


def test_places_are_taken_and_given_back() -> None:
    in_flight = InFlight(2)

    assert [in_flight.enter() for _ in range(3)] == [True, True, False]

    in_flight.leave()

    assert in_flight.enter()


def test_each_change_is_told_to_the_observer() -> None:
    changes: list[int] = []
    in_flight = InFlight(1, changes.append)

    in_flight.enter()
    in_flight.enter()
    in_flight.leave()

    assert changes == [1, -1]


def test_callers_without_a_key_are_refused_before_they_take_a_place(
    make_app: MakeApp, tmp_path: Path
) -> None:
    key = key_writer.create(tmp_path / "keys.json", "web")
    app = make_app(api_keys_file=tmp_path / "keys.json", max_in_flight=1)
    services_of(app).predictions.enter()

    without = app.test_client().post("/models/toy/predict")
    with_key = app.test_client().post("/models/toy/predict", headers={"X-API-Key": key})

    assert code(without) == (401, "missing_api_key")
    assert code(with_key) == (503, "overloaded")


def test_a_full_worker_refuses_at_once_and_stays_healthy(
    make_app: MakeApp, serving: StubServing
) -> None:
    app = make_app(max_in_flight=1)
    app.test_client().get("/models")
    release = threading.Event()
    serving.before_predict = lambda: release.wait(60)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(lambda: ask(app.test_client()))
        assert eventually(lambda: len(serving.predicts) == 1)
        refused = ask(app.test_client())
        health = app.test_client().get("/healthz")
        models = app.test_client().get("/models")
        was_busy = not busy.done()
        release.set()
        done = busy.result().status_code

    assert code(refused) == (503, "overloaded")
    assert "limit of 1 prediction requests in flight" in refused.text
    assert refused.headers["Retry-After"] == "1"
    assert (health.status_code, models.status_code) == (200, 200)
    assert was_busy
    assert done == 200


def test_failed_requests_give_their_places_back(make_app: MakeApp) -> None:
    client = make_app(max_in_flight=1).test_client()

    answers = [client.post("/models/toy/predict", json={"image": "!"}) for _ in range(3)]

    assert [code(answer) for answer in answers] == [(400, "invalid_base64")] * 3


def test_preflights_do_not_count(make_app: MakeApp) -> None:
    client = make_app(max_in_flight=1).test_client()

    statuses = {client.options("/models/toy/predict").status_code for _ in range(3)}

    assert statuses == {200}
