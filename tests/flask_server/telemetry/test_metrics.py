from __future__ import annotations

import re
import threading
from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from flask_server.errors import kinds
from flask_server.serving.breaker import FAILURES
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.running import free_port

MANUAL = Path(__file__).parents[3] / "docs/reference/metrics.md"
URL = "/models/toy/predict"

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"gateway_{name}", frozenset(labels.items())), 0.0)


def scrape(client: FlaskClient) -> Samples:
    return samples(client.get("/metrics").text)


def test_requests_are_counted_by_route_method_and_status(client: FlaskClient) -> None:
    for path in ("/models/toy", "/models/toy", "/models/none", "/no/such", "/nor/this"):
        client.get(path)

    found = scrape(client)
    route = {"route": "/models/<name>", "method": "GET"}
    assert value(found, "requests_total", **route, status="200") == 2
    assert value(found, "requests_total", **route, status="404") == 1
    assert value(found, "request_seconds_count", route="/models/<name>") == 3
    assert value(found, "requests_total", route="(unmatched)", method="GET", status="404") == 2


def test_callers_cannot_make_new_labels(client: FlaskClient) -> None:
    client.get("/models")
    before = {label for _, labels in scrape(client) for label in labels}

    for made_up in ("a", "b"):
        client.get(f"/models/{made_up}", headers={"X-Request-ID": made_up})
        client.post(f"/models/{made_up}/predict", json={"image": "!", "label": made_up})
        client.post(URL, json={"image": b64(draw()), "label": made_up})
        client.open(f"/{made_up}", method=made_up.upper())

    after = {label for _, labels in scrape(client) for label in labels} - before
    assert not {label for label in after if label[1] in {"a", "b", "A", "B"}}
    assert ("method", "OTHER") in after


def test_stages_are_those_of_the_stopwatch(client: FlaskClient) -> None:
    client.post(URL, json={"images": [b64(draw()), b64(draw())]})

    found = scrape(client)
    for stage in ("decode", "preprocess", "serving", "postprocess"):
        assert value(found, "stage_seconds_count", stage=stage) == 1
        assert 0 < value(found, "stage_seconds_sum", stage=stage) < 5


def test_each_picture_has_its_outcome(client: FlaskClient) -> None:
    client.post(URL, json={"images": [b64(draw()), "!", b64(flat("white"))]})
    client.post(URL, json={"image": b64(b"text")})

    found = scrape(client)
    toy = {"model": "toy", "version": "1"}
    assert value(found, "predictions_total", **toy, outcome="ok") == 2
    assert value(found, "predictions_total", **toy, outcome="invalid_base64") == 1
    assert value(found, "predictions_total", **toy, outcome="unsupported_image") == 1


def test_request_that_fails_as_a_whole_counts_once(
    client: FlaskClient, serving: StubServing
) -> None:
    serving.answer = (500, {"error": "no"})
    client.post(URL, json={"images": [b64(draw())] * 3})
    client.post("/imageclassifier/predict/")

    found = scrape(client)
    toy = {"model": "toy", "version": ""}
    assert value(found, "predictions_total", **toy, outcome="serving_error") == 1
    assert value(found, "predictions_total", **toy, outcome="missing_image") == 1
    assert value(found, "problems_total", code="serving_error") == 1


def test_every_error_code_begins_at_zero(client: FlaskClient) -> None:
    found = scrape(client)

    for kind in kinds():
        assert found["gateway_problems_total", frozenset({("code", kind.code)})] == 0


def test_refusals_are_counted_as_shed(make_app: MakeApp, serving: StubServing) -> None:
    client = make_app(max_in_flight=1).test_client()
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        go.wait(5)

    serving.before_predict = hold
    body = {"image": b64(draw())}
    slow = threading.Thread(target=lambda: client.post(URL, json=body))
    slow.start()
    inside.wait(5)
    refused = client.application.test_client().post(URL, json=body)
    during = scrape(client.application.test_client())
    go.set()
    slow.join()

    assert refused.status_code == 503
    assert value(during, "shed_total") == 1
    assert value(during, "predictions_in_flight") == 1
    assert value(scrape(client), "predictions_in_flight") == 0


def test_failed_prediction_is_no_longer_at_work(client: FlaskClient) -> None:
    client.post(URL, data="{", content_type="application/json")

    assert value(scrape(client), "predictions_in_flight") == 0


def test_state_of_serving_and_models(make_app: MakeApp, serving: StubServing) -> None:
    models = '[models.toy]\nbase_path = "toy"\n[models.absent]\nbase_path = "absent"\n'
    serving.models["toy"][7] = Servable()
    client = make_app(models).test_client()

    found = scrape(client)

    assert value(found, "serving_up", model="toy") == 1
    assert value(found, "model_ready", model="toy") == 1
    assert value(found, "model_version", model="toy") == 7
    assert value(found, "model_info", model="toy", task="classification") == 1
    assert value(found, "serving_up", model="absent") == 1
    assert value(found, "model_ready", model="absent") == 0
    assert ("gateway_model_version", frozenset({("model", "absent")})) not in found


def test_serving_that_is_away_is_not_up(make_app: MakeApp) -> None:
    client = make_app(serving_url=f"http://127.0.0.1:{free_port()}").test_client()

    found = scrape(client)

    assert value(found, "serving_up", model="toy") == value(found, "model_ready", model="toy") == 0


def test_open_circuit_is_shown_by_address(make_app: MakeApp) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    client = make_app(serving_url=address, poll_interval_s=60.0).test_client()
    assert value(scrape(client), "serving_circuit_open", model="toy", address="1") == 0

    for _ in range(FAILURES):
        client.application.test_client().post(URL, json={"image": b64(draw()), "version": 1})

    assert value(scrape(client), "serving_circuit_open", model="toy", address="1") == 1
    assert address not in client.get("/metrics").text


def test_metrics_can_be_turned_off(make_app: MakeApp) -> None:
    response = make_app(metrics=False).test_client().get("/metrics")

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] == "not_found"


def test_answer_is_in_the_format_that_prometheus_reads(client: FlaskClient) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=x"})

    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"


def test_manual_names_every_metric_and_its_labels(client: FlaskClient) -> None:
    client.post(URL, json={"image": "!"})
    row = re.compile(r"^\| `(gateway_\w+)` \| \w+ \| ([\w, ]*)\|", re.MULTILINE)
    rows = row.findall(MANUAL.read_text())
    told = {name.removesuffix("_total"): set(labels.split(", ")) for name, labels in rows}

    # prometheus_client adds times of creation, but not with several processes.
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = {family.name: family for family in families if not family.name.endswith("_created")}

    assert set(told) == set(found)
    for name, family in found.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= {label.strip() for label in told[name]}
