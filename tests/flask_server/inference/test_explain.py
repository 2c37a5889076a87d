"""Explanations over a stub Serving whose models look at known places."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from flask_server.inference import explain
from flask_server.views.explain import AT_ONCE, EXPLAIN_PARAMETERS
from flask_server.web.services import services_of
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Row, Scorer, Servable, StubServing, make_spec
from tests.flask_server.views.test_model_views import code
from tests.running import ROOT
from tests.waiting import eventually

Array = np.ndarray[Any, Any]

URL = "/models/toy/explain"
JSON = {"Accept": "application/json"}
SIDE = 48
VIEW = InputSpec(height=SIDE, width=SIDE)
WHITE = flat("white")
CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right")


def corners(array: Array) -> list[Array]:
    half = len(array) // 2
    return [array[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]


def brightness(pixels: Array) -> Row:
    """One class per corner, which looks at nothing but the light there."""
    return [float(part.mean()) / 255 for part in corners(pixels)]


def detail(pixels: Array) -> Row:
    """One class per corner, which looks at nothing but the differences there."""
    return [float(part.std()) / 255 for part in corners(pixels)]


def watching_corners(score: Scorer = brightness, **fields: Any) -> Servable:
    usual: dict[str, Any] = {"activation": "sigmoid", "labels": CORNERS, "input": VIEW}
    return Servable(make_spec(**(usual | fields)), score)


@pytest.fixture
def make_app(make_app: MakeApp) -> MakeApp:
    """Time enough, so that a busy machine gets no coarser grid."""
    return lambda *models, **settings: make_app(*models, **({"deadline_s": 60} | settings))


@pytest.fixture
def client(serving: StubServing, make_app: MakeApp) -> FlaskClient:
    serving.models["toy"] = {1: watching_corners()}
    return make_app().test_client()


def asked(serving: StubServing) -> list[int]:
    """How many pictures came with each call."""
    return [len(call["instances"]) for call in serving.predicts]


def grid_of(client: FlaskClient, data: bytes = WHITE, query: str = "") -> Array:
    response = client.post(f"{URL}?{query}", data=data, headers=JSON)
    assert response.status_code == 200, response.text
    assert response.json is not None
    return np.array(response.json["grid"])


def shares(grid: Array) -> list[float]:
    """The positive heat of each corner, as shares of all of it."""
    heat = np.clip(grid, 0, None)
    return [float(part.sum() / heat.sum()) for part in corners(heat)]


@pytest.mark.parametrize(
    ("score", "data"),
    [
        pytest.param(brightness, WHITE, id="light"),
        pytest.param(lambda pixels: brightness(255 - pixels), flat("black"), id="darkness"),
        pytest.param(detail, draw(size=(SIDE, SIDE)), id="detail"),
    ],
)
@pytest.mark.parametrize("corner", range(4))
def test_heat_is_where_the_class_looks(
    serving: StubServing, make_app: MakeApp, score: Scorer, data: bytes, corner: int
) -> None:
    serving.models["toy"] = {1: watching_corners(score)}

    grid = grid_of(make_app().test_client(), data, f"class={CORNERS[corner]}")

    # Patches on the other side of the border reach one cell into the corner.
    assert shares(grid)[corner] > 0.8


def test_heat_of_a_cell_is_what_the_score_loses(client: FlaskClient) -> None:
    """A white picture loses an eighth of its light where a patch hides it in full."""
    grid = grid_of(client, query="class=upper-left&grid=2")

    cover = np.clip(1.5 - np.abs((np.arange(SIDE) + 0.5) * 2 / SIDE - 0.5), 0, 1)[: SIDE // 2]
    expected = float(np.outer(cover, cover).mean()) * 0.25 / 2
    assert grid[0, 0] == pytest.approx(expected, abs=0.003)
    assert grid[0, 0] > grid[0, 1] > grid[1, 1] > 0


def test_the_top_class_is_explained(client: FlaskClient) -> None:
    image = Image.new("RGB", (SIDE, SIDE))
    image.paste((200, 200, 200), (SIDE // 2, 0, SIDE, SIDE // 2))
    file = io.BytesIO()
    image.save(file, "PNG")

    response = client.post(URL, data=file.getvalue(), headers=JSON)

    assert response.json is not None
    assert (response.json["class_id"], response.json["label"]) == ("id1", "upper-right")
    assert response.json["score"] == pytest.approx(200 / 255)
    assert shares(np.array(response.json["grid"]))[1] > 0.8


@pytest.mark.parametrize(
    "parameters",
    [{"class": "lower-left"}, {"class": "id2"}, {"labels": "lower-left"}, {"labels": "id2"}],
)
def test_class_by_label_or_id(client: FlaskClient, parameters: dict[str, str]) -> None:
    response = client.post(URL, data=WHITE, query_string=parameters, headers=JSON)

    assert response.json is not None
    assert response.json["class_id"] == "id2"


def test_of_two_classes_with_one_label_the_likelier_is_explained(
    serving: StubServing, make_app: MakeApp
) -> None:
    """Like the two cranes of ImageNet."""
    serving.models["toy"] = {1: Servable(make_spec(labels=("crane", "owl", "crane")))}
    client = make_app().test_client()

    answers = [
        client.post(f"{URL}?class=crane", data=data, headers=JSON).json
        for data in (flat("black"), WHITE)
    ]

    assert [answer and answer["class_id"] for answer in answers] == ["id0", "id2"]


def test_json_answer(client: FlaskClient) -> None:
    response = client.post(f"{URL}?grid=2", data=draw(size=(90, 30)), headers=JSON)

    assert response.json is not None
    assert list(response.json) == ["model", "version", "class_id", "label", "score", "grid", "box"]
    assert (response.json["model"], response.json["version"]) == ("toy", 1)
    assert np.array(response.json["grid"]).shape == (2, 2)
    assert response.json["box"] == [0, 0, 90, 30]


def test_score_is_that_of_predict(client: FlaskClient) -> None:
    data = draw(size=(90, 30))

    explained = client.post(URL, data=data, headers=JSON).json
    predicted = client.post("/models/toy/predict?top_k=1", data=data).json

    assert explained is not None
    assert predicted is not None
    assert predicted["predictions"] == [{k: explained[k] for k in ("class_id", "label", "score")}]


def test_logits_are_explained_as_probabilities(serving: StubServing, make_app: MakeApp) -> None:
    serving.models["toy"] = {1: watching_corners(activation="none")}
    client = make_app().test_client()

    response = client.post(f"{URL}?class=upper-left", data=WHITE, headers=JSON)

    assert response.json is not None
    assert response.json["score"] == 0.25
    assert shares(np.array(response.json["grid"]))[0] > 0.8


@pytest.mark.parametrize(("query", "cells"), [("", 8), ("grid=2", 2), ("grid=11", 11)])
def test_serving_is_asked_at_most_128_times_in_batches(
    client: FlaskClient,
    serving: StubServing,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    cells: int,
) -> None:
    monkeypatch.setattr(explain, "MAX_CALL_S", 60)

    grid = grid_of(client, query=query)

    assert grid.shape == (cells, cells)
    assert sum(asked(serving)) == 1 + cells * cells <= 128
    full, rest = divmod(cells * cells, 16)
    assert asked(serving) == [1] + [16] * full + [rest] * (rest > 0)


@pytest.mark.parametrize(("side", "cells"), [(2, 2), (4, 4), (24, 4), (30, 5), (48, 8), (299, 8)])
def test_small_models_get_fewer_cells(
    serving: StubServing, make_app: MakeApp, side: int, cells: int
) -> None:
    spec = make_spec(input=InputSpec(height=side, width=side + 10))
    serving.models["toy"] = {1: Servable(spec)}

    assert len(grid_of(make_app().test_client())) == cells


def test_a_slow_model_gets_fewer_cells_and_smaller_batches(
    serving: StubServing, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a deadline of 3 s, but neighbours may delay the calls.
    monkeypatch.setattr(explain, "TIME_SHARE", explain.TIME_SHARE * 3 / 60)
    serving.models["toy"] = {1: watching_corners()}
    client = make_app(deadline_s=60).test_client()
    client.get("/readyz")
    serving.delay_s = 0.1

    grid = grid_of(client)

    assert len(grid) == 4
    assert max(asked(serving)) == 1


def test_a_grid_that_takes_too_long_is_a_timeout_that_says_so(
    serving: StubServing, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.models["toy"] = {1: watching_corners()}
    client = make_app(deadline_s=60).test_client()
    client.get("/readyz")
    # The clock by which the calls are measured: each seems to take longer than the deadline.
    clock = SimpleNamespace(monotonic=itertools.count(0, 100).__next__)
    monkeypatch.setattr(explain, "time", clock)

    response = client.post(f"{URL}?grid=11", data=WHITE)

    assert code(response) == (504, "serving_timeout")
    assert (
        "0 of 121 cells, and the next call would end after the deadline of 60 s"
        in json.loads(response.data)["detail"]
    )


class Swapping:
    """Replaces version 1 by version 2, whose classes look elsewhere, at the n-th call."""

    def __init__(self, serving: StubServing, at: int) -> None:
        self.serving, self.left = serving, at
        serving.models["toy"] = {1: watching_corners()}
        serving.before_predict = self.step

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.serving.models["toy"] = {2: watching_corners(labels=CORNERS[::-1])}


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_version_swap_starts_again_with_the_new_version(
    serving: StubServing, make_app: MakeApp, at: int
) -> None:
    Swapping(serving, at)
    client = make_app(poll_interval_s=60).test_client()

    response = client.post(f"{URL}?class=upper-left&grid=8", data=WHITE, headers=JSON)

    assert response.json is not None
    assert response.json["version"] == 2
    assert shares(np.array(response.json["grid"]))[3] > 0.8
    versions = [call["path"].split("/")[5] for call in serving.predicts]
    assert versions == sorted(versions)


def test_a_pinned_version_that_goes_is_not_replaced(
    serving: StubServing, make_app: MakeApp
) -> None:
    Swapping(serving, 3)
    client = make_app(poll_interval_s=60).test_client()

    assert code(client.post(f"{URL}?version=1", data=WHITE)) == (404, "unknown_version")


def test_version_and_label_are_respected(serving: StubServing, make_app: MakeApp) -> None:
    serving.models["toy"] = {1: watching_corners(), 2: watching_corners()}
    serving.labels["stable"] = 1
    client = make_app().test_client()

    answers = [
        client.post(URL, data=WHITE, query_string=query, headers=JSON).json
        for query in ({}, {"version": 1}, {"label": "stable"})
    ]

    assert [answer and answer["version"] for answer in answers] == [2, 1, 1]


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("", None, "image/png"),
        ("", "*/*", "image/png"),
        ("", "image/jpeg", "image/jpeg"),
        ("", "application/json", "application/json"),
        ("", "application/json, image/png;q=0.5", "application/json"),
        ("?format=json", None, "application/json"),
        ("?format=json", "image/png", "application/json"),
        ("?format=png", "application/json", "image/png"),
        ("?format=jpeg", "text/html", "image/jpeg"),
    ],
)
def test_form_of_the_answer(
    client: FlaskClient, query: str, accept: str | None, content_type: str
) -> None:
    response = client.post(URL + query, data=WHITE, headers={"Accept": accept} if accept else {})

    assert response.status_code == 200
    assert response.content_type == content_type


def test_picture_shows_the_heat_where_the_class_looks(client: FlaskClient) -> None:
    response = client.post(f"{URL}?class=lower-right", data=flat((250, 250, 250)))

    image = Image.open(io.BytesIO(response.data)).convert("RGB")
    pixels = np.asarray(image).astype(int)[:480, :480]
    spread = pixels.max(axis=-1) - pixels.min(axis=-1)
    assert image.width == 480
    assert spread[240:, 240:].sum() > 0.8 * spread.sum()


@pytest.mark.parametrize(
    "request_args",
    [
        pytest.param({"json": {"image": b64(WHITE), "class": "id3", "grid": 2}}, id="JSON"),
        pytest.param({"json": {"images": [b64(WHITE)], "class": "id3", "grid": 2}}, id="one of"),
        pytest.param(
            {"data": {"image": (io.BytesIO(WHITE), "a.png"), "class": "id3", "grid": "2"}},
            id="multipart",
        ),
        pytest.param({"data": {"image": b64(WHITE), "class": "id3", "grid": "2"}}, id="field"),
        pytest.param({"data": WHITE, "query_string": {"class": "id3", "grid": 2}}, id="raw"),
    ],
)
def test_every_form_of_request(client: FlaskClient, request_args: dict[str, Any]) -> None:
    response = client.post(URL, headers=JSON, **request_args)

    assert response.json is not None
    assert response.json["label"] == "lower-right"
    assert len(response.json["grid"]) == 2


@pytest.mark.parametrize(
    ("request_args", "outcome"),
    [
        pytest.param({"data": b"text"}, (415, "unsupported_image"), id="no picture"),
        pytest.param({"data": WHITE[:50]}, (422, "corrupt_image"), id="damaged"),
        pytest.param({"data": b""}, (400, "missing_image"), id="empty"),
        pytest.param({"json": {"image": "!"}}, (400, "invalid_base64"), id="no base64"),
        pytest.param({"json": {"images": [b64(WHITE)] * 2}}, (413, "too_many_images"), id="two"),
        pytest.param(
            {"data": WHITE, "headers": {"Accept": "text/html"}}, (406, "not_acceptable"), id="HTML"
        ),
        pytest.param({"data": WHITE, "query_string": {"version": 7}}, (404, "unknown_version")),
    ],
)
def test_errors_are_problem_documents(
    client: FlaskClient, serving: StubServing, request_args: dict[str, Any], outcome: Any
) -> None:
    response = client.post(URL, **request_args)

    assert response.content_type == "application/problem+json"
    assert code(response) == outcome
    assert serving.predicts == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class", "nobody"),
        ("class", ""),
        ("grid", 1),
        ("grid", 12),
        ("grid", "big"),
        ("grid", 2.5),
        ("format", "gif"),
        ("labels", ["nobody"]),
        ("top_k", 5),
        ("report", "maybe"),
    ],
)
def test_bad_parameter_is_named(
    client: FlaskClient, serving: StubServing, name: str, value: Any
) -> None:
    response = client.post(URL, json={"image": b64(WHITE), name: value})

    assert code(response) == (400, "invalid_parameter")
    assert response.json is not None
    assert response.json["detail"].startswith(name)
    assert serving.predicts == []


def test_a_misspelt_parameter_is_told_what_there_is(client: FlaskClient) -> None:
    response = client.post(f"{URL}?klass=a", data=WHITE)

    assert code(response) == (400, "invalid_parameter")
    assert response.json is not None
    assert response.json["detail"].endswith("report, class, grid, format.")


@pytest.mark.parametrize("name", EXPLAIN_PARAMETERS)
def test_the_manual_names_every_parameter(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")


def test_predict_knows_no_parameters_of_explain(client: FlaskClient) -> None:
    response = client.post("/models/toy/predict?grid=3", data=WHITE)

    assert code(response) == (400, "invalid_parameter")


def test_unknown_model(client: FlaskClient) -> None:
    assert code(client.post("/models/nobody/explain", data=WHITE)) == (404, "unknown_model")


@pytest.mark.parametrize("accept", ["image/png", "application/json"])
def test_untrained_models_warn(serving: StubServing, make_app: MakeApp, accept: str) -> None:
    serving.models["toy"] = {1: watching_corners(trained=False)}

    response = make_app().test_client().post(URL, data=WHITE, headers={"Accept": accept})

    body = response.json["warnings"] if response.json else [response.headers["X-Model-Warning"]]
    assert ["untrained" in warning for warning in body] == [True]


def test_report_on_request(client: FlaskClient) -> None:
    response = client.post(f"{URL}?report=true", data=WHITE, headers=JSON)

    assert response.json is not None
    assert response.json["report"]["format"] == "PNG"


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("DT_FLOAT", (-1, SIDE, SIDE, 3)),
        ("DT_UINT8", (-1, SIDE, SIDE, 3)),
        ("DT_STRING", (-1,)),
    ],
)
def test_models_of_others_are_explained(
    serving: StubServing, make_app: MakeApp, dtype: str, shape: tuple[int, ...]
) -> None:
    outputs = {"y": ("DT_FLOAT", 4)}
    serving.models["toy"] = {1: Servable(None, brightness, dtype, shape, outputs)}
    models = (
        '[models.toy]\nbase_path = "toy"\nactivation = "sigmoid"\n'
        f'input = {{ scale = "none", height = {SIDE}, width = {SIDE} }}\n'
    )

    grid = grid_of(make_app(models).test_client(), query="class=2")

    assert shares(grid)[2] > 0.8


@pytest.fixture
def gate(serving: StubServing) -> Iterator[threading.Event]:
    """Serving answers no prediction until this is set."""
    opened = threading.Event()
    serving.before_predict = lambda: opened.wait(60)
    yield opened
    opened.set()


def ask(app: Flask, url: str) -> TestResponse:
    return app.test_client().post(url, data=WHITE)


def wait_until_at_work(app: Flask, count: int) -> None:
    assert eventually(lambda: services_of(app).explanations.count == count)


def test_explanations_leave_room_for_predictions(
    serving: StubServing, make_app: MakeApp, gate: threading.Event
) -> None:
    serving.models["toy"] = {1: watching_corners()}
    app = make_app(max_in_flight=AT_ONCE + 1)

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(ask, app, f"{URL}?grid=2") for _ in range(AT_ONCE)]
        wait_until_at_work(app, AT_ONCE)
        refused = ask(app, URL)
        running.append(pool.submit(ask, app, "/models/toy/predict"))
        assert eventually(lambda: services_of(app).predictions.count == AT_ONCE + 1)
        gate.set()

    assert code(refused) == (503, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert [future.result().status_code for future in running] == [200] * (AT_ONCE + 1)
    assert ask(app, f"{URL}?grid=2").status_code == 200


def test_explanations_count_as_work(
    serving: StubServing, make_app: MakeApp, gate: threading.Event
) -> None:
    serving.models["toy"] = {1: watching_corners()}
    app = make_app(max_in_flight=1)

    with ThreadPoolExecutor() as pool:
        running = pool.submit(ask, app, f"{URL}?grid=2")
        wait_until_at_work(app, 1)
        refused = ask(app, "/models/toy/predict")
        gate.set()

    assert code(refused) == (503, "overloaded")
    assert running.result().status_code == 200


def test_each_app_counts_its_own_explanations(
    serving: StubServing, make_app: MakeApp, gate: threading.Event
) -> None:
    serving.models["toy"] = {1: watching_corners()}
    first, second = make_app(), make_app()

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(ask, first, f"{URL}?grid=2") for _ in range(AT_ONCE)]
        wait_until_at_work(first, AT_ONCE)
        running.append(pool.submit(ask, second, f"{URL}?grid=2"))
        wait_until_at_work(second, 1)
        gate.set()

    assert [future.result().status_code for future in running] == [200] * (AT_ONCE + 1)


def test_a_failed_explanation_gives_its_place_back(
    client: FlaskClient, serving: StubServing
) -> None:
    serving.answer = (500, {"error": "no"})
    for _ in range(AT_ONCE + 1):
        assert code(client.post(URL, data=WHITE)) == (502, "serving_error")

    serving.answer = None

    assert client.post(URL, data=WHITE).status_code == 200


def test_timing_has_every_stage(client: FlaskClient) -> None:
    response = client.post(URL, data=WHITE)

    stages = [part.split(";")[0] for part in response.headers["Server-Timing"].split(", ")]
    assert stages == ["decode", "preprocess", "serving", "postprocess", "total"]
