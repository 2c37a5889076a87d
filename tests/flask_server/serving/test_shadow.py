"""A share of the requests is copied to another version, and callers get nothing of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from flask_server.deadline import Deadline
from flask_server.inference import shadow as shadow_module
from flask_server.inference.model_inputs import Prepared, outputs_of, prepared_image
from flask_server.inference.predict import Gateway, PredictRequest
from flask_server.inference.shadow import Shadow, ShadowResult, compare
from flask_server.serving.breaker import FAILURES
from flask_server.serving.connect import connect
from flask_server.serving.live_model import LiveModel
from flask_server.serving.outputs import Outputs
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from flask_server.web.services import services_of
from model_catalog.model_entry import ModelEntry
from model_catalog.spec import InputSpec, OutputSpec
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import (
    Servable,
    StubServing,
    by_brightness,
    make_spec,
)
from tests.resource_limits import needs_prlimit, no_thread_left
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
TOY = '[models.toy]\nbase_path = "toy"\n'
ALL = f"{TOY}split = {{ stable = 1 }}\nshadow = {{ canary = 100 }}\n"
URL = "/models/toy/predict"
WHITE = {"image": b64(flat("white"))}


def darker(pixels: np.ndarray[Any, Any]) -> list[float]:
    """Other scores, and for light pictures another best class."""
    dark, middle, light = by_brightness(pixels)
    return [dark, middle, light / 8]


@pytest.fixture
def two_versions(serving: StubServing) -> StubServing:
    serving.models["toy"] = {1: Servable(), 2: Servable(score=darker)}
    serving.labels = {"stable": 1, "canary": 2}
    return serving


def results(client: FlaskClient) -> Any:
    return (client.get("/models/toy").json or {})["shadow_results"]["canary"]


def counted(client: FlaskClient, outcome: str) -> int:
    number: int = results(client)["requests"][outcome]
    return number


def test_agreement_and_score_shift_are_shown(make_app: MakeApp, two_versions: StubServing) -> None:
    client = make_app(ALL).test_client()
    black, white = b64(flat("black")), b64(flat("white"))

    answer = client.post(URL, json={"images": [black, "!", white], "top_k": 1}).json

    assert answer is not None
    assert answer["version"] == 1
    assert answer["results"][2]["predictions"][0]["label"] == "light"
    assert eventually(lambda: counted(client, "compared") == 1)
    assert results(client) == {
        "version": 2,
        "requests": {"compared": 1, "dropped": 0, "failed": 0},
        "comparisons": [
            {
                "version": 1,
                "images": 2,
                "top1_agreement": 0.5,
                "mean_score_shift": pytest.approx(0.875 / 2),
                "largest_score_shift": pytest.approx(0.875),
            }
        ],
    }
    assert (client.get("/models/toy").json or {})["shadow"] == {"canary": 100}
    metrics = client.get("/metrics").text
    pair = 'model="toy",same_class="{}",shadow_version="2",version="1"'
    assert f"gateway_shadow_images_total{{{pair.format('yes')}}} 1.0" in metrics
    assert f"gateway_shadow_images_total{{{pair.format('no')}}} 1.0" in metrics
    predictions = 'gateway_predictions_total{model="toy",outcome="ok",version="2"}'
    assert predictions not in metrics


def test_a_version_with_another_input_size_gets_the_image_decoded_again(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    spec = make_spec(input=InputSpec(height=6, width=5))
    two_versions.models["toy"][2] = Servable(spec, shape=(-1, 6, 5, 3))
    client = make_app(ALL).test_client()

    client.post(URL, json={"images": ["!", WHITE["image"]]})

    assert eventually(lambda: counted(client, "compared") == 1)
    assert results(client)["comparisons"][0]["top1_agreement"] == 1
    assert results(client)["comparisons"][0]["images"] == 1


def test_an_image_that_cannot_be_decoded_again_is_dropped(
    make_app: MakeApp, two_versions: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_module, "DECODE_BYTES", 10)
    spec = make_spec(input=InputSpec(height=6, width=5))
    two_versions.models["toy"][2] = Servable(spec, shape=(-1, 6, 5, 3))
    client = make_app(ALL).test_client()

    assert client.post(URL, json=WHITE).status_code == 200

    assert eventually(lambda: counted(client, "dropped") == 1)


def test_a_tensor_is_not_copied_to_a_version_with_another_input(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    spec = make_spec(input=InputSpec(height=6, width=5))
    two_versions.models["toy"][2] = Servable(spec, shape=(-1, 6, 5, 3))
    client = make_app(ALL).test_client()

    assert client.post(URL, json={"tensor": np.zeros((4, 4, 3)).tolist()}).status_code == 200
    client.post(URL, json=WHITE)

    assert eventually(lambda: sum(results(client)["requests"].values()) == 1)
    assert counted(client, "compared") == 1


def test_a_tensor_is_compared_with_a_version_of_the_same_input(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    client = make_app(ALL).test_client()
    rows = np.zeros((2, 4, 4, 3)).tolist()

    assert client.post(URL, json={"tensor": rows}).status_code == 200

    assert eventually(lambda: counted(client, "compared") == 1)
    assert results(client)["comparisons"][0]["images"] == 2


@pytest.mark.parametrize(
    "lines",
    [
        "shadow = { canary = 0 }",
        "split = { canary = 1 }\nshadow = { canary = 100 }",
        "shadow = { nobody = 100 }",
    ],
)
def test_nothing_is_copied(make_app: MakeApp, two_versions: StubServing, lines: str) -> None:
    client = make_app(f"{TOY}{lines}\n").test_client()

    client.post(URL, json=WHITE)

    assert "gateway_shadow_requests_total{" not in client.get("/metrics").text
    assert len(two_versions.predicts) == 1


def test_a_shadow_label_without_a_version_is_shown(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    client = make_app(f"{TOY}shadow = {{ nobody = 100 }}\n").test_client()

    assert (client.get("/models/toy").json or {})["warnings"] == [
        "Label nobody of shadow has no usable version (the model server does not name one);"
        " nothing is copied to it."
    ]
    assert (client.get("/models/toy").json or {})["shadow_results"]["nobody"]["version"] is None


def test_versions_that_rank_no_classes_are_not_compared(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    two_versions.models["toy"][2] = Servable(make_spec(activation="raw", task="regression"))
    client = make_app(ALL).test_client()

    assert client.post(URL, json=WHITE).status_code == 200
    assert "names a version without a score for each class" in str(client.get("/models/toy").json)
    assert counted(client, "failed") == counted(client, "compared") == 0


def test_without_metrics_there_are_no_figures(make_app: MakeApp, two_versions: StubServing) -> None:
    client = make_app(ALL, metrics=False).test_client()

    assert client.post(URL, json=WHITE).status_code == 200
    assert results(client) is None


class Worker:
    """A gateway whose copies wait as long as ``busy`` is set."""

    def __init__(self, client: FlaskClient) -> None:
        self.busy = threading.Event()
        self.results: list[ShadowResult] = []
        models = services_of(client.application).gateway.models
        self.shadow = Shadow(
            Settings(),
            traffic_of=models.traffic,
            is_busy=self.busy.is_set,
            connect=lambda address: connect(address, 1),
            observe=self.results.append,
        )
        self.gateway = Gateway(Settings(), models, self.shadow)

    def ask(self, image: bytes) -> int:
        request = PredictRequest(model="toy", uploads=[image])
        return self.gateway.predict(request, Deadline(60), Stopwatch()).version

    def offered(self) -> tuple[LiveModel, list[bytes], list[Prepared], list[Outputs]]:
        """What a request offers to the shadow, without the request."""
        models = self.gateway.models
        live, image = models.labelled("toy", "stable", Deadline(60)), draw()
        preparation, watch = self.gateway.preparation, Stopwatch()
        prepared = prepared_image(preparation, live, image, Deadline(60), watch)
        return live, [image], [prepared], outputs_of(live, [prepared], Deadline(60))

    def outcomes(self) -> list[str]:
        return sorted(result.outcome for result in self.results)


@pytest.fixture
def worker(make_app: MakeApp, two_versions: StubServing) -> Iterator[Worker]:
    made = Worker(make_app(ALL).test_client())
    yield made
    made.shadow.close()


def test_copies_wait_for_spare_capacity_and_are_dropped_beyond_the_queue(
    worker: Worker, two_versions: StubServing
) -> None:
    worker.busy.set()
    image = draw()
    asked = shadow_module.MAX_QUEUED + 5

    assert {worker.ask(image) for _ in range(asked)} == {1}
    assert len(two_versions.predicts) == asked
    # One is taken out of the queue and waits.
    assert worker.outcomes() in (["dropped"] * 4, ["dropped"] * 5)

    worker.busy.clear()
    assert eventually(lambda: len(worker.results) == asked)
    assert worker.outcomes().count("compared") >= shadow_module.MAX_QUEUED


def test_the_bytes_of_the_queue_are_bounded(
    make_app: MakeApp, two_versions: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_module, "MAX_QUEUED_BYTES", 2 * 4 * 4 * 3)
    worker = Worker(make_app(ALL).test_client())
    worker.busy.set()

    for _ in range(3):
        worker.ask(draw())

    assert worker.outcomes() == ["dropped"]
    worker.busy.clear()
    assert eventually(lambda: worker.outcomes() == ["compared", "compared", "dropped"])
    worker.ask(draw())
    assert eventually(lambda: worker.outcomes() == ["compared"] * 3 + ["dropped"])
    worker.shadow.close()


def test_copies_go_to_an_address_that_has_the_version(
    make_app: MakeApp, serving: StubServing
) -> None:
    with type(serving)().running() as other:
        other.models["toy"] = {1: Servable(), 2: Servable(score=darker)}
        serving.labels = {"stable": 1}
        other.labels = {"stable": 1, "canary": 2}
        client = make_app(ALL, serving_url=f"{serving.url},{other.url}").test_client()

        for _ in range(4):
            assert client.post(URL, json=WHITE).status_code == 200

        assert eventually(lambda: counted(client, "compared") == 4)
        assert results(client)["comparisons"][0]["top1_agreement"] == 0


def test_a_failing_version_leaves_the_circuit_of_requests_closed(
    worker: Worker, two_versions: StubServing, caplog: pytest.LogCaptureFixture
) -> None:
    def break_connection(_: object) -> list[float]:
        raise ConnectionResetError

    worker.busy.set()
    two_versions.models["toy"][2].score = break_connection
    copies = FAILURES + 3
    for _ in range(copies):
        worker.ask(draw())
    worker.busy.clear()

    assert eventually(lambda: worker.outcomes() == ["failed"] * copies)
    assert worker.ask(draw()) == 1
    assert caplog.text.count("version 2 (shadow label canary) failed: ") == 1


def test_a_version_that_was_unloaded_drops_its_copies(
    worker: Worker, two_versions: StubServing
) -> None:
    worker.busy.set()
    worker.ask(draw())

    del two_versions.models["toy"][2]
    worker.busy.clear()

    assert eventually(lambda: worker.outcomes() == ["dropped"])


def test_a_copy_never_fails_the_answer(make_app: MakeApp, two_versions: StubServing) -> None:
    worker = Worker(make_app(ALL).test_client())

    def defect(_: str) -> Any:
        raise ZeroDivisionError

    worker.gateway.shadow = Shadow(
        Settings(),
        traffic_of=defect,
        is_busy=lambda: False,
        connect=lambda address: connect(address, 1),
        observe=worker.results.append,
    )

    assert worker.ask(draw()) == 1
    assert worker.results == []


def test_a_model_that_is_removed_during_a_request_logs_no_error(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    offered = worker.offered()
    worker.gateway.models.configure([ModelEntry(name="other", base_path=Path("other"))])

    worker.shadow.offer(*offered)

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert worker.results == []


@needs_prlimit
def test_copies_are_sent_once_a_thread_can_be_started_again(worker: Worker) -> None:
    closed = Shadow(
        Settings(),
        traffic_of=worker.gateway.models.traffic,
        is_busy=worker.busy.is_set,
        connect=lambda address: connect(address, 1),
        observe=worker.results.append,
    )
    offered = worker.offered()
    with no_thread_left():
        worker.shadow.offer(*offered)
        closed.offer(*offered)
    closed.close()

    worker.shadow.offer(*offered)

    assert eventually(lambda: worker.outcomes() == ["compared", "compared"])


def test_an_error_while_a_result_is_reported_leaves_the_thread_running(
    make_app: MakeApp, two_versions: StubServing
) -> None:
    worker = Worker(make_app(ALL).test_client())
    outcomes: list[str] = []

    def observe(result: ShadowResult) -> None:
        outcomes.append(result.outcome)
        if len(outcomes) <= 2:
            raise OSError("No space left on device")

    worker.gateway.shadow = Shadow(
        Settings(),
        traffic_of=worker.gateway.models.traffic,
        is_busy=lambda: False,
        connect=lambda address: connect(address, 1),
        observe=observe,
    )

    worker.ask(draw())
    assert eventually(lambda: outcomes == ["compared", "failed"])
    worker.ask(draw())
    assert eventually(lambda: outcomes == ["compared", "failed", "compared"])
    worker.gateway.shadow.close()


def test_classes_are_compared_by_their_ids() -> None:
    spec = make_spec()
    other = replace(spec, labels=spec.labels[2:] + spec.labels[:1], output=OutputSpec(classes=2))
    scores = np.array([0.1, 0.2, 0.7])

    same = compare(spec, scores, spec, np.array([0.3, 0.3, 0.4]))
    moved = compare(spec, scores, other, np.array([0.9, 0.1]))
    missing = compare(spec, np.array([0.1, 0.8, 0.1]), other, np.array([0.9, 0.1]))

    assert [found.agrees for found in (same, moved, missing)] == [True, True, False]
    assert [found.shift for found in (same, moved, missing)] == pytest.approx([0.3, 0.2, 0.8])


def test_logits_are_compared_as_probabilities() -> None:
    logits = make_spec(activation="none")

    found = compare(logits, np.zeros(3), make_spec(), np.array([0.5, 0.25, 0.25]))

    assert found.agrees
    assert found.shift == pytest.approx(0.5 - 1 / 3)
