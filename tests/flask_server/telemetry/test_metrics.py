from __future__ import annotations

import platform
import re
import threading
import time
from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from flask_server.access import key_writer
from flask_server.access.key_file import ID_DIGITS, ApiKey, format_keys, hash_of
from flask_server.access.key_store import LISTED
from flask_server.errors import kinds
from flask_server.serving.breaker import FAILURES
from flask_server.web.services import services_of
from flask_server.web.unhandled import Unhandled
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.running import free_port
from tests.waiting import eventually

MANUAL = Path(__file__).parents[3] / "docs/reference/metrics.md"
UNHANDLED = MANUAL.parents[1] / "observability.md"
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
    assert value(found, "requests_total", **route, status="200", code="") == 2
    assert value(found, "requests_total", **route, status="404", code="unknown_model") == 1
    assert value(found, "request_seconds_count", route="/models/<name>") == 3
    unmatched = {"route": "(unmatched)", "method": "GET", "status": "404", "code": "not_found"}
    assert value(found, "requests_total", **unmatched) == 2


def test_callers_cannot_make_new_labels(client: FlaskClient) -> None:
    client.get("/models")
    before = {label for _, labels in scrape(client) for label in labels}

    for made_up in ("a", "b"):
        client.get(f"/models/{made_up}", headers={"X-Request-ID": made_up})
        client.post(f"/models/{made_up}/predict", json={"image": "!", "label": made_up})
        client.post(URL, json={"image": b64(draw()), "label": made_up})
        client.open(f"/{made_up}", method=made_up.upper())

    found = scrape(client)
    after = {label for _, labels in found for label in labels} - before
    assert not {label for label in after if label[1] in {"a", "b", "A", "B"}}
    unmatched = {"route": "(unmatched)", "status": "404", "code": "not_found"}
    assert value(found, "requests_total", **unmatched, method="OTHER") == 2


def test_stages_are_those_of_the_stopwatch(client: FlaskClient) -> None:
    began = time.monotonic()
    client.post(URL, json={"images": [b64(draw()), b64(draw())]})
    took_s = time.monotonic() - began

    found = scrape(client)
    for stage in ("decode", "preprocess", "serving", "postprocess"):
        assert value(found, "stage_seconds_count", stage=stage) == 1
        # Two images may be decoded at the same time, and the times of both are added.
        assert 0 < value(found, "stage_seconds_sum", stage=stage) < 2 * took_s


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
        go.wait(60)

    serving.before_predict = hold
    body = {"image": b64(draw())}
    slow = threading.Thread(target=lambda: client.post(URL, json=body))
    slow.start()
    inside.wait(60)
    refused = client.application.test_client().post(URL, json=body)
    during = scrape(client.application.test_client())
    go.set()
    slow.join()

    assert refused.status_code == 503
    assert value(during, "shed_total") == 1
    assert value(during, "predictions_in_flight") == 1
    assert value(scrape(client), "predictions_in_flight") == 0


def test_refusals_of_the_worker_are_counted_from_zero(make_app: MakeApp) -> None:
    app = make_app()
    unread = {"route": "(unmatched)", "method": "OTHER", "status": "503", "code": "overloaded"}
    before = scrape(app.test_client())

    services_of(app).count_unhandled(Unhandled.NO_ROOM, 1)
    after = scrape(app.test_client())

    assert value(after, "unhandled_requests_total", reason="no_room") == 1
    for found, count in ((before, 0), (after, 1)):
        assert found["gateway_requests_total", frozenset(unread.items())] == count
        assert value(found, "shed_total") == count
        assert value(found, "problems_total", code="overloaded") == count


def test_each_reason_for_unhandled_requests_begins_at_zero(make_app: MakeApp) -> None:
    app = make_app()

    services_of(app).count_unhandled(Unhandled.TOO_SLOW, 1)
    found = scrape(app.test_client())

    counts = {
        reason: found["gateway_unhandled_requests_total", frozenset({("reason", reason)})]
        for reason in Unhandled
    }
    assert counts == dict.fromkeys(Unhandled, 0) | {Unhandled.TOO_SLOW: 1}
    assert value(found, "shed_total") == 0


def test_the_manual_explains_each_reason_for_unhandled_requests() -> None:
    told = re.findall(r"^\| `(\w+)` \|", UNHANDLED.read_text(), re.MULTILINE)

    assert set(told) >= set(Unhandled)


def test_each_model_has_the_latency_of_its_answers_and_failures(
    client: FlaskClient, serving: StubServing
) -> None:
    began = time.monotonic()
    client.post(URL, json={"image": b64(draw())})
    client.post(URL, json={"image": "!"})
    client.get("/models/toy")
    serving.answer = (500, {"error": "no"})
    client.post(URL, json={"image": b64(draw())})
    took_s = time.monotonic() - began

    found = scrape(client)

    assert value(found, "prediction_seconds_count", model="toy") == 2
    assert 0 < value(found, "prediction_seconds_sum", model="toy") < took_s


def test_requests_of_each_key_are_counted_by_its_id(make_app: MakeApp, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = [key_writer.create(file, name) for name in ("one", "two")]
    client = make_app(api_keys_file=file, rate_limit="2 per minute").test_client()

    for key in (keys[0], keys[0], keys[0], keys[1], "icg_wrong"):
        client.get("/models", headers={"X-API-Key": key})
    found = scrape(client)
    text = client.get("/metrics").text

    one, two = (hash_of(key)[:ID_DIGITS] for key in keys)
    assert value(found, "api_key_requests_total", api_key=one, status="200") == 2
    assert value(found, "api_key_requests_total", api_key=one, status="429") == 1
    assert value(found, "api_key_requests_total", api_key=two, status="200") == 1
    assert sum(name == "gateway_api_key_requests_total" for name, _ in found) == 3
    assert "icg_" not in text


def test_keys_far_down_in_the_file_are_counted_together(make_app: MakeApp, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = [f"icg_{number}" for number in range(LISTED + 2)]
    file.write_text(format_keys(tuple(ApiKey(key, hash_of(key), "today") for key in keys)))
    client = make_app(api_keys_file=file).test_client()

    for key in keys:
        client.get("/models", headers={"X-API-Key": key})
    found = scrape(client)

    assert value(found, "api_key_requests_total", api_key="other", status="200") == 2
    assert sum(name == "gateway_api_key_requests_total" for name, _ in found) == LISTED + 1


def test_a_revoked_key_is_no_longer_shown(make_app: MakeApp, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    gone, stays = (key_writer.create(file, name) for name in ("gone", "stays"))
    client = make_app(api_keys_file=file).test_client()
    for key in (gone, stays):
        client.get("/models", headers={"X-API-Key": key})

    key_writer.revoke(file, "gone")

    def is_revoked() -> bool:
        return client.get("/models", headers={"X-API-Key": gone}).status_code == 401

    assert eventually(is_revoked)
    text = client.get("/metrics").text
    assert hash_of(stays)[:ID_DIGITS] in text
    assert hash_of(gone)[:ID_DIGITS] not in text


def test_build_and_process_are_shown(client: FlaskClient) -> None:
    found = scrape(client)

    (build,) = [dict(labels) for name, labels in found if name == "gateway_build_info"]
    assert build["python"] == platform.python_version()
    assert build["version"]
    assert value(found, "processes") == 1
    assert value(found, "process_threads") >= 1
    assert 10**7 < value(found, "process_resident_memory_bytes") < 10**11
    assert 0 < value(found, "process_cpu_seconds_total") < 10**6
    assert 3 <= value(found, "process_open_fds") <= value(found, "process_max_fds")
    assert 0 < time.time() - value(found, "process_start_time_seconds") < 10**6


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
