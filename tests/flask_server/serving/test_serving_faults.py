"""What the caller sees when Serving fails, and when it changes under running requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_server.deadline import Deadline
from flask_server.errors import ServingTimeout
from flask_server.serving.breaker import FAILURES
from flask_server.serving.client import RestServing
from flask_server.serving.connect import connect
from flask_server.web.services import services_of
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import MakeApp, b64, draw, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.flask_server.views.test_model_views import URL, code
from tests.listening import listening
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
#: Far longer than anything takes, also beside other load.
LONG_S = 60.0
#: Enough for a connection, also beside other load.
CONNECT_S = 1.0


def ask(client: FlaskClient, **parameters: Any) -> TestResponse:
    return client.post(URL, json={"image": b64(draw())} | parameters)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param((200, {"hello": 1}), (502, "serving_error"), id="other JSON"),
        pytest.param((200, b"<html>"), (502, "serving_error"), id="no JSON"),
        pytest.param((200, {"predictions": [[1, 2]]}), (502, "serving_error"), id="other shape"),
        pytest.param((400, {"error": "odd input"}), (502, "serving_error"), id="bad request"),
        pytest.param((500, b"oops"), (502, "serving_error"), id="defect"),
        pytest.param((301, b""), (502, "serving_error"), id="redirect"),
        pytest.param((429, {"error": "queue"}), (503, "overloaded"), id="queue timeout"),
        pytest.param((503, {"error": "full"}), (503, "overloaded"), id="queue full"),
        pytest.param((504, {"error": "late"}), (504, "serving_timeout"), id="late"),
    ],
)
def test_serving_fault_has_status_and_code(
    client: FlaskClient, serving: StubServing, answer: tuple[int, Any], outcome: tuple[int, str]
) -> None:
    serving.answer = answer

    response = ask(client)

    assert code(response) == outcome
    assert "127.0.0.1" not in response.text


@pytest.mark.parametrize("path", ["/models", "/models/toy", "/readyz", "/readyz?model=toy"])
def test_only_the_log_tells_the_address_of_the_model_server(
    make_app: MakeApp, serving: StubServing, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    nobody = address_of_nobody(serving)
    client = make_app(serving_url=nobody).test_client()

    texts = [client.get(path).text, *(ask(client).text for _ in range(FAILURES + 1))]

    assert not [text for text in texts if "127.0.0.1" in text]
    assert "The model server of toy cannot be reached." in texts[-1]
    assert f"[{nobody}]" in caplog.text


def address_of_nobody(serving: StubServing) -> str:
    """An address with the protocol of the stub, on which nothing listens."""
    return f"{serving.url.partition(':')[0]}://127.0.0.1:9"


def test_fault_quotes_what_serving_said(client: FlaskClient, serving: StubServing) -> None:
    serving.answer = (400, {"error": "input must be finite"})

    assert "input must be finite" in ask(client).text


def test_upstream_fault_fails_the_whole_batch(client: FlaskClient, serving: StubServing) -> None:
    serving.answer = (500, b"")

    response = client.post(URL, json={"images": [b64(draw()), "!"]})

    assert code(response) == (502, "serving_error")


def test_one_broken_connection_is_asked_again(client: FlaskClient, serving: StubServing) -> None:
    ask(client)
    serving.breaks = 1

    assert ask(client).status_code == 200


def test_twice_broken_is_unavailable(client: FlaskClient, serving: StubServing) -> None:
    ask(client)
    serving.breaks = 2

    response = ask(client)

    assert code(response) == (503, "serving_unavailable")
    assert response.headers["Retry-After"] == "1"


def test_half_an_answer_is_asked_again(client: FlaskClient, serving: StubServing) -> None:
    ask(client)
    serving.halves = 1

    assert ask(client).status_code == 200

    serving.halves = 2

    assert code(ask(client)) == (503, "serving_unavailable")


def test_dripping_answer_ends_at_the_deadline(make_app: MakeApp, serving: StubServing) -> None:
    client = make_app(deadline_s=0.4).test_client()
    client.get("/models")
    serving.drip_s = 0.05  # the answer would last far longer than the test may

    assert code(ask(client)) == (504, "serving_timeout")
    serving.drip_s = 0


def test_restarted_serving_costs_no_request(client: FlaskClient, serving: StubServing) -> None:
    """Kept-alive connections die with the old process; the next request must not notice."""
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ask(client.application.test_client()), range(24)))

    serving.restart()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(client.application.test_client()), range(24)))

    assert {answer.status_code for answer in answers} == {200}


def test_hanging_serving_is_not_waited_for_again_and_again(
    make_app: MakeApp, serving: StubServing
) -> None:
    client = make_app(deadline_s=0.2).test_client()
    client.get("/models")
    serving.delay_s = LONG_S

    with open_circuit(client):
        assert {code(ask(client)) for _ in range(20)} == {(503, "serving_unavailable")}

    serving.delay_s = 0
    assert eventually(lambda: ask(client).status_code == 200)


@contextmanager
def open_circuit(client: FlaskClient, **parameters: Any) -> Iterator[None]:
    """Ask a Serving that hangs until the circuit opens; no probe is due before the block ends."""
    live: Any = services_of(client.application).gateway.models.state("toy").newest
    breaker, late = live.serving.breaker, 0
    # On a busy machine, a request may take all its time itself, which is no failure of Serving, or
    # may get no connection in its time.
    while not breaker.open:
        assert ask(client, **parameters).status_code in {503, 504}
        late += 1
    assert late >= FAILURES
    clock, now = breaker._clock, breaker._clock()
    breaker._clock = lambda: now
    yield
    breaker._clock = clock


def test_labels_do_not_wait_again_and_again_for_a_hanging_serving_either(
    make_app: MakeApp, serving: StubServing
) -> None:
    client = make_app(deadline_s=0.2).test_client()
    client.get("/models")
    serving.get_delay_s = LONG_S

    with open_circuit(client, label="stable"):
        answers = {code(ask(client, label="stable")) for _ in range(20)}

    assert answers == {(503, "serving_unavailable")}


def test_the_first_poll_ends_at_the_deadline(
    make_app: MakeApp, serving: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_server.serving.model_watch.POLL_TIMEOUT_S", LONG_S)
    serving.get_delay_s = LONG_S
    client = make_app(deadline_s=0.3).test_client()

    start = time.monotonic()

    assert code(ask(client)) == (504, "serving_timeout")
    assert time.monotonic() - start < LONG_S / 2


def test_an_answer_that_stops_halfway_ends_at_the_deadline(
    make_app: MakeApp, serving: StubServing
) -> None:
    client = make_app(deadline_s=0.4).test_client()
    client.get("/models")
    # The first byte comes near the end of the time, and each further one soon enough for a read.
    serving.drip_s = 0.3

    assert code(ask(client)) == (504, "serving_timeout")
    serving.drip_s = 0


@pytest.mark.parametrize(
    "nonsense",
    [
        (200, {"metadata": {"signature_def": {"signature_def": {"serving_default": None}}}}),
        (500, b"[" * 200_000),
    ],
    ids=["signature", "deep"],
)
def test_polling_goes_on_after_nonsense(
    make_app: MakeApp, serving: StubServing, nonsense: tuple[int, Any]
) -> None:
    serving.models["toy"] = {1: Servable(None)}
    serving.metadata_answer = nonsense
    client = make_app('[models.toy]\nbase_path="f"\ninput = { scale = "unit" }\n').test_client()

    assert code(ask(client)) == (502, "serving_error")
    serving.models["toy"] = {1: Servable(make_spec())}
    serving.metadata_answer = None
    assert eventually(lambda: ask(client).status_code == 200)


def test_polling_goes_on_after_an_internal_error(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    polled = threading.Event()

    def broken(_: object, name: str) -> None:
        polled.set()
        raise ZeroDivisionError(name)

    with monkeypatch.context() as patch:
        patch.setattr("flask_server.serving.models.Models.poll", broken)
        app = make_app()
        assert polled.wait(60)

    assert eventually(lambda: app.test_client().get("/readyz").status_code == 200)
    assert eventually(lambda: "polling its versions failed" in caplog.text)


def test_requests_that_took_all_their_time_themselves_do_not_open_the_circuit(
    serving: StubServing,
) -> None:
    asked = connect(serving.url, 1)
    for _ in range(FAILURES):
        with pytest.raises(ServingTimeout):
            asked.predict("toy", 1, b"{}", Deadline(0))

    assert not asked.breaker.open


class SlowReader(StreamRequestHandler):
    """Takes a request only when the test allows it, then answers it."""

    may_read = threading.Event()

    def handle(self) -> None:
        self.may_read.wait(LONG_S)
        with suppress(OSError):
            while self.rfile.readline().strip():
                pass
            self.rfile.read(len(MEGABYTES))
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"predictions":[7]}')


MEGABYTES = bytes(16 * 1024 * 1024)


@pytest.fixture
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[RestServing]:
    """A client whose time for connecting is shorter than that for sending the body."""
    monkeypatch.setattr("flask_server.serving.transport.CONNECT_S", CONNECT_S)
    SlowReader.may_read.clear()
    with listening(ThreadingTCPServer(("127.0.0.1", 0), SlowReader)) as url:
        serving = RestServing(url)
        yield serving
        serving.close()
        SlowReader.may_read.set()


def test_serving_may_take_the_body_later_than_a_connection(slow_reader: RestServing) -> None:
    after = threading.Timer(1.5 * CONNECT_S, SlowReader.may_read.set)
    after.start()

    assert slow_reader.predict("toy", 1, MEGABYTES, Deadline(LONG_S)) == [7]
    after.join()


def test_a_body_that_serving_does_not_take_ends_at_the_deadline(slow_reader: RestServing) -> None:
    with pytest.raises(ServingTimeout):
        slow_reader.predict("toy", 1, MEGABYTES, Deadline(CONNECT_S))


def test_serving_down_is_unavailable_at_once(make_app: MakeApp, serving: StubServing) -> None:
    client = make_app(serving_url=address_of_nobody(serving)).test_client()

    start = time.monotonic()
    response = ask(client)

    assert code(response) == (503, "serving_unavailable")
    assert time.monotonic() - start < LONG_S / 2  # the deadline is far later


def test_model_without_version_is_not_ready(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: Servable(state="LOADING")}

    response = ask(make_app().test_client())

    assert code(response) == (503, "model_not_ready")
    assert "1 LOADING" in response.text


def test_deadline_covers_the_whole_request(make_app: MakeApp, serving: StubServing) -> None:
    client = make_app(deadline_s=0.3).test_client()
    client.get("/models")
    serving.delay_s = LONG_S

    assert code(ask(client)) == (504, "serving_timeout")


def test_health_is_not_readiness(make_app: MakeApp, serving: StubServing) -> None:
    app = make_app('[models.toy]\nbase_path="a"\n[models.late]\nbase_path="b"\n')
    client = app.test_client()

    assert client.get("/healthz").status_code == 200
    assert code(client.get("/readyz")) == (503, "model_not_ready")
    assert "late" in client.get("/readyz").text
    assert client.get("/readyz?model=toy").status_code == 200
    assert code(client.get("/readyz?model=nobody")) == (404, "unknown_model")

    serving.models["late"] = {1: Servable()}

    assert eventually(lambda: client.get("/readyz").status_code == 200)


def test_swap_between_poll_and_predict_costs_no_request(
    client: FlaskClient, serving: StubServing
) -> None:
    ask(client)
    bigger = make_spec(input=InputSpec(height=9, width=5), labels=("x", "y", "z"))

    def swap() -> None:
        serving.models["toy"] = {2: Servable(bigger)}

    serving.before_predict = swap
    response = ask(client)

    assert response.json is not None
    assert response.json["version"] == 2
    assert {p["label"] for p in response.json["predictions"]} == {"x", "y", "z"}


def test_a_model_that_was_gone_is_asked_anew_for_its_labels(
    make_app: MakeApp, serving: StubServing
) -> None:
    client = make_app(poll_interval_s=0.01).test_client()
    ask(client)

    del serving.models["toy"]
    assert eventually(lambda: code(ask(client)) == (503, "model_not_ready"))
    serving.models["toy"] = {1: Servable(make_spec(labels=("x", "y", "z")))}
    assert eventually(lambda: ask(client).status_code == 200)

    assert {p["label"] for p in ask(client).get_json()["predictions"]} == {"x", "y", "z"}


def test_pinned_version_that_goes_is_not_replaced(
    client: FlaskClient, serving: StubServing
) -> None:
    ask(client)
    serving.before_predict = lambda: serving.models.update(toy={2: Servable()})

    assert code(ask(client, version=1)) == (404, "unknown_version")


def numbered(version: int) -> Servable:
    """A version that scores its own number and says so in its label."""
    spec = make_spec(labels=(f"v{version}", "other"))
    return Servable(spec, lambda _: [version / 1000, 0.0])


@contextmanager
def asking(app: Flask, threads: int) -> Iterator[list[TestResponse]]:
    """Ask without a pause as long as the block runs; all answers are in the list."""
    stop, answers, picture = threading.Event(), [], b64(flat("white"))

    def ask_on() -> None:
        client = app.test_client()
        while not stop.is_set():
            answers.append(client.post(URL, json={"image": picture}))

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(ask_on) for _ in range(threads)]
        try:
            yield answers
        finally:
            stop.set()
        for future in running:
            future.result()


def test_labels_always_belong_to_the_scores(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["toy"] = {1: numbered(1)}

    with asking(make_app(poll_interval_s=0.01), threads=3) as answers:
        for version in range(2, 10):
            seen = len(answers)
            serving.models["toy"] = {version: numbered(version)}
            assert eventually(answered_by(version, answers, seen))
            time.sleep(0.2)

    assert [answer.text for answer in answers if answer.status_code != 200] == []
    for body in [answer.json for answer in answers if answer.json]:
        mine = body["predictions"][0]
        assert (mine["label"], mine["score"]) == (f"v{body['version']}", body["version"] / 1000)


def answered_by(version: int, answers: list[TestResponse], since: int) -> Callable[[], bool]:
    """Return what tells whether a version has given one of the answers, which become more."""
    return lambda: any(f'"version":{version}' in answer.text for answer in answers[since:])
