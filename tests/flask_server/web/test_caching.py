from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.flask_server.conftest import MakeApp, b64, draw
from tests.flask_server.stub_serving import Servable, StubServing, make_spec


@pytest.mark.parametrize("path", ["/models", "/models/toy", "/openapi.json", "/docs", "/"])
def test_description_is_revalidated(client: FlaskClient, path: str) -> None:
    first = client.get(path)

    known = {"If-None-Match": first.headers["ETag"], "Origin": "https://app.example"}
    again = client.get(path, headers=known)

    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["X-Request-ID"]
    assert again.headers["Access-Control-Allow-Origin"] == "*"


def test_changed_description_is_sent_again(make_app: MakeApp, serving: StubServing) -> None:
    app = make_app()
    client = app.test_client()
    first = client.get("/models/toy")
    serving.models["toy"][2] = Servable(make_spec(labels=("a", "b", "c")))

    changed = first
    while changed.status_code == 200 and changed.data == first.data:
        changed = client.get("/models/toy")
    answer = client.get("/models/toy", headers={"If-None-Match": first.headers["ETag"]})

    assert answer.status_code == 200
    assert answer.headers["ETag"] != first.headers["ETag"]


def test_models_of_a_serving_that_is_away_are_the_same_answer(make_app: MakeApp) -> None:
    client = make_app(serving_url="http://127.0.0.1:9").test_client()
    tags = {client.get("/models").headers["ETag"] for _ in range(3)}

    assert len(tags) == 1
    assert client.get("/models").get_json()["models"][0]["error"]["code"] == "serving_unavailable"


def test_head_tells_the_same_tag(client: FlaskClient) -> None:
    assert client.head("/models").headers["ETag"] == client.get("/models").headers["ETag"]


def test_static_file_is_revalidated(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    app.static_folder = str(tmp_path)
    (tmp_path / "page.css").write_text("p {}")
    client = app.test_client()
    with client.get("/static/page.css") as first:
        text, headers = first.get_data(as_text=True), first.headers

    with client.get("/static/page.css", headers={"If-None-Match": headers["ETag"]}) as again:
        status = again.status_code

    assert (text, headers["Cache-Control"]) == ("p {}", "no-cache")
    assert status == 304


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/hello/", "/nowhere", "/models/none", "/static/none.css"]
)
def test_answer_of_the_moment_is_not_stored(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers

    assert headers["Cache-Control"] == "no-store"
    assert "ETag" not in headers


def test_prediction_is_not_stored(client: FlaskClient) -> None:
    headers = client.post("/models/toy/predict", json={"image": b64(draw())}).headers

    assert headers["Cache-Control"] == "no-store"
    assert "ETag" not in headers


def test_server_alone_dates_the_answers(client: FlaskClient) -> None:
    assert "Date" not in client.get("/models").headers
