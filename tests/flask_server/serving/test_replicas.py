"""Several addresses for one model: which one gets a call, and what happens when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_server.deadline import Deadline
from flask_server.errors import ServingTimeout, ServingUnavailable
from flask_server.serving.breaker import FAILURES, PROBE_S
from flask_server.serving.connect import Connections, connect
from flask_server.serving.golden_replay import ReplayOptions
from flask_server.serving.models import Models
from flask_server.serving.replicas import ReplicatedServing
from flask_server.serving.signatures import USUAL_CALL
from flask_server.serving.upstream import CallFormat, NoConnection, ServableGone, VersionStatus
from model_catalog.model_entry import ModelEntry
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.serving.test_serving_faults import (
    address_of_nobody,
    answered_by,
    ask,
    asking,
    numbered,
)
from tests.flask_server.stub_grpc_serving import StubGrpcServing
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.flask_server.views.test_model_views import URL, code
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
#: Time in which a call reaches a stub that does not answer it, also beside other load.
ARRIVES_S = 1.0
TOY, NEW = (ModelEntry(name=name, base_path=Path(name)) for name in ("toy", "new"))


@pytest.fixture
def other(serving: StubServing) -> Iterator[StubServing]:
    with type(serving)().running() as stub:
        yield stub


@pytest.fixture
def app(make_app: MakeApp, serving: StubServing, other: StubServing) -> Flask:
    return client_of(make_app, serving, other).application


def client_of(make_app: MakeApp, *stubs: StubServing) -> FlaskClient:
    """Return a client of an app, which polls the stubs from now on: a version stays as it is."""
    return make_app(serving_url=",".join(stub.url for stub in stubs)).test_client()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def kill(stub: StubServing) -> None:
    """End all connections, and accept none; the stub can be stopped once more afterwards."""
    if isinstance(stub, StubGrpcServing):
        stub.relay.close()
        stub.relay = type(stub.relay)(stub)
        return
    stub.server.shutdown()
    stub.server.server_close()
    stub.server.close_connections()


def shown(client: FlaskClient) -> dict[str, Any]:
    document = client.get("/models/toy").get_json()
    assert isinstance(document, dict)
    return document


def versions_seen(client: FlaskClient) -> list[list[int]]:
    return [each["versions"] for each in shown(client)["addresses"]]


def test_a_call_goes_to_the_address_with_the_fewest_in_flight(
    serving: StubServing, other: StubServing
) -> None:
    stubs, free = (serving, other), threading.Event()
    asked = connected(*stubs)
    body = pixels_body(asked)

    def arrived() -> int:
        return sum(len(stub.predicts) for stub in stubs)

    for stub in stubs:
        stub.before_predict = lambda: free.wait(60)

    with ThreadPoolExecutor(6) as pool:
        for sent in range(1, 7):
            pool.submit(asked.predict, "toy", 1, body, Deadline(60))
            assert eventually(lambda n=sent: arrived() == n)  # type: ignore[misc]
            assert abs(len(serving.predicts) - len(other.predicts)) <= 1
        free.set()

    assert len(serving.predicts) == len(other.predicts) == 3
    assert [server.in_flight for server in asked.servers] == [0, 0]


def connected(*stubs: StubServing) -> ReplicatedServing:
    """Return the client of the stubs, which has read version 1 of toy from all of them."""
    asked = ReplicatedServing([connect(stub.url, 4) for stub in stubs])
    asked.status("toy", Deadline(60))
    asked.metadata("toy", 1, Deadline(60))
    return asked


def test_the_state_of_an_address_keeps_no_call_that_failed(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    body = pixels_body(asked)
    kill(other)

    for _ in range(4):
        asked.predict("toy", 1, body, Deadline(60))

    problem = asked.addresses("toy")[1].problem
    assert isinstance(problem, NoConnection)
    assert problem.__traceback__ is None, "it refers to frames with the body, and with the images"


def pixels_body(asked: ReplicatedServing) -> bytes:
    signatures = asked.metadata("toy", 1, Deadline(60)).signatures
    codec = asked.codec("toy", 1, CallFormat(signatures, make_spec().input, USUAL_CALL, None, ()))
    assert codec.encode is not None
    return codec.encode([np.zeros((4, 4, 3), np.uint8)])


def test_no_request_fails_when_an_address_dies(
    client: FlaskClient, serving: StubServing, other: StubServing
) -> None:
    client.get("/models")
    kill(other)

    assert {ask(client).status_code for _ in range(10)} == {200}
    assert len(serving.predicts) == 10


def test_a_call_whose_connection_breaks_twice_goes_to_another_address(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    body = pixels_body(asked)
    serving.breaks = 2

    for _ in range(2):  # one of them begins at the address that breaks
        asked.predict("toy", 1, body, Deadline(60))

    assert serving.breaks == 0


def test_a_call_that_no_address_takes_is_unavailable(make_app: MakeApp) -> None:
    with StubServing().running() as stub:
        nobody = address_of_nobody(stub)
    client = make_app(serving_url=f"{nobody},http://localhost:{nobody.rpartition(':')[2]}")

    assert code(ask(client.test_client())) == (503, "serving_unavailable")


def test_a_call_that_took_too_long_is_not_sent_to_another_address(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    for stub in (serving, other):
        stub.delay_s = 60

    with pytest.raises(ServingTimeout):
        asked.predict("toy", 1, pixels_body(asked), Deadline(ARRIVES_S))

    assert eventually(lambda: len(serving.predicts) + len(other.predicts) == 1)


def test_an_address_that_is_away_is_named_and_comes_back(
    make_app: MakeApp, serving: StubServing
) -> None:
    with type(serving)().running() as other:
        client = make_app(serving_url=f"{serving.url},{other.url}").test_client()
        assert [each["reachable"] for each in shown(client)["addresses"]] == [True, True]
        assert shown(client)["warnings"] == []
        other.status_answer = (500, {"error": "odd"})

        assert eventually(lambda: not shown(client)["addresses"][1]["reachable"])

        assert client.get("/readyz").status_code == 200
        (warning,) = shown(client)["warnings"]
        assert warning.startswith("Address 2: ")
        assert other.url not in client.get("/models/toy").text
        assert metric(client, "serving_address_up", 2) == 0
        assert metric(client, "serving_address_up", 1) == 1

        other.status_answer = None
        assert eventually(lambda: shown(client)["addresses"][1]["reachable"])


def metric(client: FlaskClient, name: str, address: int) -> float:
    lines = client.get("/metrics").text.splitlines()
    (line,) = (each for each in lines if each.startswith(f'gateway_{name}{{address="{address}",'))
    return float(line.rpartition(" ")[2])


def test_not_ready_when_no_address_has_a_version(
    client: FlaskClient, serving: StubServing, other: StubServing
) -> None:
    assert client.get("/readyz").status_code == 200
    for stub in (serving, other):
        stub.models["toy"] = {1: Servable(state="LOADING")}

    assert eventually(lambda: client.get("/readyz").status_code == 503)
    assert code(client.get("/readyz")) == (503, "model_not_ready")


def test_the_newest_version_that_all_addresses_have_is_used(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    serving.models["toy"] = {1: numbered(1)}
    other.models["toy"] = {1: numbered(1), 2: numbered(2)}
    client = client_of(make_app, serving, other)

    assert eventually(lambda: versions_seen(client) == [[1], [2, 1]])
    assert ask(client).get_json()["version"] == 1
    assert {ask(client, version=2).get_json()["version"] for _ in range(4)} == {2}

    serving.models["toy"] = {2: numbered(2), 1: numbered(1)}
    assert eventually(lambda: ask(client).get_json()["version"] == 2)


def test_without_a_common_version_the_newest_is_used(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    serving.models["toy"] = {1: numbered(1)}
    other.models["toy"] = {2: numbered(2)}
    client = client_of(make_app, serving, other)

    assert eventually(lambda: ask(client).get_json().get("version") == 2)
    assert ask(client, version=1).get_json()["predictions"][0]["label"] == "v1"


def test_a_version_that_goes_at_one_address_is_asked_at_another(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    app = make_app(serving_url=f"{serving.url},{other.url}", poll_interval_s=60)
    client = app.test_client()
    assert ask(client, version=1).status_code == 200

    serving.models["toy"] = {2: Servable()}

    assert {ask(client, version=1).status_code for _ in range(6)} == {200}
    other.models["toy"] = {2: Servable()}
    assert code(ask(client, version=1)) == (404, "unknown_version")


def test_an_address_with_another_model_of_the_same_number_gets_no_calls(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    other.models["toy"] = {1: Servable(make_spec(labels=("x", "y", "z")))}
    client = client_of(make_app, serving, other)

    assert eventually(lambda: versions_seen(client) == [[1], []])
    assert shown(client)["addresses"][1]["other_versions"] == [1]
    assert "differs" in " ".join(shown(client)["warnings"])
    assert {ask(client).get_json()["predictions"][0]["label"] for _ in range(6)} <= {
        "dark",
        "middle",
        "light",
    }
    assert other.predicts == []

    other.models["toy"] = {1: Servable(state="LOADING")}
    assert eventually(lambda: shown(client)["addresses"][1]["other_versions"] == [])
    other.models["toy"] = {1: Servable()}
    assert eventually(lambda: versions_seen(client) == [[1], [1]])


def test_the_model_of_the_only_address_left_is_read_anew(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    other.models["toy"] = {1: Servable(make_spec(labels=("x", "y", "z")))}
    client = client_of(make_app, serving, other)
    assert eventually(lambda: versions_seen(client) == [[1], []])

    serving.models["toy"] = {}

    assert eventually(lambda: ask(client).status_code == 200 and other.predicts != [])
    assert {p["label"] for p in ask(client).get_json()["predictions"]} == {"x", "y", "z"}


def test_labels_belong_to_the_scores_during_a_rolling_update(
    make_app: MakeApp, serving: StubServing, other: StubServing
) -> None:
    stubs = (serving, other)
    for stub in stubs:
        stub.models["toy"] = {1: numbered(1)}
    app = make_app(serving_url=f"{serving.url},{other.url}", poll_interval_s=0.02)

    with asking(app, threads=3) as answers:
        for version in range(2, 6):
            for stub in stubs:
                seen = len(answers)
                stub.models["toy"] = {version: numbered(version)}
                assert eventually(answered_by(version, answers, seen))
        assert eventually(lambda: all(stub.predicts for stub in stubs))

    assert [answer.text for answer in answers if answer.status_code != 200] == []
    for body in [answer.get_json() for answer in answers]:
        mine = body["predictions"][0]
        assert (mine["label"], mine["score"]) == (f"v{body['version']}", body["version"] / 1000)


def test_an_open_circuit_gets_one_call_at_a_time(serving: StubServing, other: StubServing) -> None:
    asked = connected(serving, other)
    body = pixels_body(asked)
    broken = asked.servers[1].breaker
    broken._clock = later_by(broken._clock, 0)
    for _ in range(FAILURES):
        broken.failed()

    for _ in range(4):
        asked.predict("toy", 1, body, Deadline(60))
    assert other.predicts == []

    broken._clock = later_by(broken._clock, PROBE_S)
    other.delay_s = 60
    with pytest.raises(ServingTimeout):
        asked.predict("toy", 1, body, Deadline(ARRIVES_S))
    for _ in range(4):
        asked.predict("toy", 1, body, Deadline(60))
    assert eventually(lambda: len(other.predicts) == 1)

    other.delay_s = 0
    broken._clock = later_by(broken._clock, PROBE_S)
    for _ in range(4):
        asked.predict("toy", 1, body, Deadline(60))
    assert not broken.open
    assert len(other.predicts) > 2


def later_by(clock: Callable[[], float], seconds: float) -> Callable[[], float]:
    """Return a clock that stands still, so that no probe becomes due meanwhile."""
    now = clock() + seconds
    return lambda: now


def test_an_address_that_hangs_does_not_delay_the_polls(
    serving: StubServing, other: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = connected(serving, other), threading.Event()
    monkeypatch.setattr("flask_server.serving.replica_polls.POLL_WAIT_S", 0.1)
    status = asked.servers[1].status

    def status_that_hangs(model: str, _: Deadline) -> list[VersionStatus]:
        free.wait(60)
        return status(model, Deadline(60))

    monkeypatch.setattr(asked.servers[1], "status", status_that_hangs)
    for _ in range(3):
        assert [each.addresses for each in asked.status("toy", Deadline(60))] == [1]
    assert isinstance(asked.addresses("toy")[1].problem, ServingTimeout)

    free.set()
    assert eventually(lambda: asked.status("toy", Deadline(60))[0].addresses == 2)


def test_a_label_is_told_by_the_first_address_that_can(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    other.labels = {"stable": 1}
    assert asked.label_version("toy", "stable", Deadline(60)) == 1

    with pytest.raises(ServableGone, match="label"):
        asked.label_version("toy", "nightly", Deadline(60))
    kill(serving)
    assert asked.label_version("toy", "stable", Deadline(60)) == 1


def test_a_model_that_no_address_has_is_told_as_without_versions(
    serving: StubServing, other: StubServing
) -> None:
    asked = ReplicatedServing([connect(stub.url, 1) for stub in (serving, other)])

    assert asked.status("nobody", Deadline(60)) == []
    with pytest.raises(ServableGone):
        asked.metadata("nobody", 1, Deadline(60))
    with pytest.raises(ServableGone):
        asked.predict("nobody", 1, b"", Deadline(60))


def test_when_no_address_answers_the_last_state_stays_in_use(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    for stub in (serving, other):
        stub.status_answer = (500, {"error": "busy"})

    with pytest.raises(Exception, match="busy"):
        asked.status("toy", Deadline(60))

    assert asked.predict("toy", 1, pixels_body(asked), Deadline(60)) is not None
    for stub in (serving, other):
        kill(stub)
    with pytest.raises(ServingUnavailable):
        asked.predict("toy", 1, b"{}", Deadline(60))


def test_models_share_the_connections_and_circuit_of_an_address() -> None:
    connections = Connections(1)
    both = connections.serving_at("http://a:1,http://b:1")
    one = connections.serving_at("http://b:1")

    assert both.servers[1] is one
    assert connections.serving_at("http://a:1,http://b:1") is both
    assert connections.serving_at("http://a:1").servers == both.servers[:1]


def test_a_removed_model_is_forgotten_with_the_next_change(
    serving: StubServing, other: StubServing
) -> None:
    servers, models = polled(serving, other)
    assert labels(models) == ["dark", "middle", "light"]

    models.configure([NEW])
    assert servers.server_of("toy", 1) in servers.servers

    models.configure([NEW])
    with pytest.raises(ServableGone):
        servers.server_of("toy", 1)
    models.stop()


def polled(*stubs: StubServing) -> tuple[ReplicatedServing, Models]:
    """Return the client of the stubs, and the models with toy only, which nothing polls."""
    servers = ReplicatedServing([connect(stub.url, 1) for stub in stubs])
    options = ReplayOptions(max_drift=1.0, spread_polls=1)
    return servers, Models((TOY,), lambda _: servers, 1, options)


def labels(models: Models) -> list[str]:
    """Poll toy, and return the labels of its newest version."""
    newest = models.poll("toy", Deadline(60)).newest
    assert newest is not None
    return [label for _, label in newest.spec.labels]


@pytest.mark.parametrize(
    "changes",
    [[[NEW], [TOY, NEW]], [[replace(TOY, base_path=Path("moved"))]]],
    ids=["removed and added", "another folder"],
)
def test_a_model_that_is_added_again_or_moved_is_read_anew(
    serving: StubServing, other: StubServing, changes: list[list[ModelEntry]]
) -> None:
    _, models = polled(serving, other)
    assert labels(models) == ["dark", "middle", "light"]

    for stub in (serving, other):
        stub.models["toy"] = {1: Servable(make_spec(labels=("x", "y", "z")))}
    for entries in changes:
        models.configure(entries)

    assert labels(models) == ["x", "y", "z"]
    models.stop()


def test_a_poll_from_before_a_model_was_forgotten_tells_nothing(
    serving: StubServing, other: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = connected(serving, other), threading.Event()
    status = asked.servers[1].status

    def old_status(model: str, deadline: Deadline) -> list[VersionStatus]:
        found = status(model, deadline)
        free.wait(60)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("flask_server.serving.replica_polls.POLL_WAIT_S", 0.1)
        patch.setattr(asked.servers[1], "status", old_status)
        assert [each.addresses for each in asked.status("toy", Deadline(60))] == [1]

    asked.keep_only([])
    other.models["toy"] = {2: numbered(2)}
    free.set()

    assert [each.version for each in asked.status("toy", Deadline(60))] == [2, 1]


def test_a_model_that_is_forgotten_during_a_poll_is_read_anew(
    serving: StubServing, other: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = connected(serving, other)
    status = asked.servers[0].status

    def forgetting(model: str, deadline: Deadline) -> list[VersionStatus]:
        asked.keep_only([])
        return status(model, deadline)

    monkeypatch.setattr(asked.servers[0], "status", forgetting)
    asked.status("toy", Deadline(60))

    with pytest.raises(ServableGone):
        asked.server_of("toy", 1)
    asked.metadata("toy", 1, Deadline(60))
    assert asked.server_of("toy", 1) in asked.servers


def test_a_call_to_a_model_that_is_forgotten_meanwhile_finds_no_version(
    serving: StubServing, other: StubServing
) -> None:
    asked = connected(serving, other)
    body = pixels_body(asked)

    def forget() -> None:
        asked.keep_only([])
        for stub in (serving, other):
            stub.models.clear()

    for stub in (serving, other):
        stub.before_predict = forget

    with pytest.raises(ServableGone):
        asked.predict("toy", 1, body, Deadline(60))


def test_pictures_are_classified_by_all_addresses(
    client: FlaskClient, serving: StubServing, other: StubServing
) -> None:
    images = [b64(flat("white"))] * 2
    for _ in range(4):
        assert client.post(URL, json={"images": images}).status_code == 200

    assert serving.predicts
    assert other.predicts
