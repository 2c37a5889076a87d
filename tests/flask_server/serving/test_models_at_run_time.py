"""The gateway takes up a changed models file while it runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from flask_server.serving.connect import connect
from flask_server.serving.file_poll import FilePoll
from flask_server.serving.golden_replay import ReplayOptions
from flask_server.serving.models import Models
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import load_models_file
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.resource_limits import needs_prlimit, no_thread_left
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
TOY = '[models.toy]\nbase_path = "toy"\n'
NEW = '[models.new]\nbase_path = "new"\n'
WHITE = {"image": b64(flat("white")), "top_k": 1}


def configure(folder: Path, text: str) -> None:
    draft = folder / "models.draft"
    draft.write_text(text)
    draft.replace(folder / "models.toml")


def models(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/models").json or {}
    return document


def names(client: FlaskClient) -> list[str]:
    return [model["name"] for model in models(client)["models"]]


def status(client: FlaskClient, name: str) -> int:
    return client.post(f"/models/{name}/predict", json=WHITE).status_code


def test_models_are_added_and_removed_and_the_first_one_is_the_default(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["new"] = {4: Servable()}
    assert status(client, "toy") == 200
    assert status(client, "new") == 404

    configure(tmp_path, NEW + TOY)

    assert eventually(lambda: names(client) == ["new", "toy"])
    assert models(client)["models"][0]["default"]
    assert status(client, "new") == status(client, "toy") == 200

    configure(tmp_path, NEW)

    assert eventually(lambda: status(client, "toy") == 404)
    assert status(client, "new") == 200
    removed = client.get("/models/toy")
    assert removed.status_code == 404
    assert "known are new" in (removed.json or {})["detail"]


def test_a_request_in_flight_is_answered_though_its_model_is_removed(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["new"] = {4: Servable()}
    held, go = threading.Event(), threading.Event()
    assert status(client, "toy") == 200

    def hold() -> None:
        held.set()
        go.wait(60)

    serving.before_predict = hold
    answered: list[int] = []
    request = threading.Thread(target=lambda: answered.append(status(client, "toy")))
    request.start()
    assert held.wait(60)

    configure(tmp_path, NEW)
    assert eventually(lambda: names(client) == ["new"])
    go.set()
    request.join()

    assert answered == [200]


def test_metrics_of_a_removed_model_are_gone(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["new"] = {4: Servable()}
    status(client, "toy")
    assert 'model="toy"' in client.get("/metrics").text

    configure(tmp_path, NEW)
    assert eventually(lambda: names(client) == ["new"])

    text = client.get("/metrics").text
    assert 'model="toy"' not in text
    assert 'model="new"' in text
    assert 'gateway_requests_total{code="",method="POST"' in text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[models.toy", "models.toml: not TOML"),
        (TOY + "typo = 1\n", "models.toml: models.toy.typo"),
        (
            TOY + 'labels = "/elsewhere/secret/names.txt"\n',
            "models.toml: models.toy.labels: The label file names.txt cannot be read",
        ),
    ],
)
def test_a_broken_file_changes_nothing_and_is_told_until_it_is_corrected(
    client: FlaskClient,
    tmp_path: Path,
    text: str,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert "models_file_problem" not in models(client)

    configure(tmp_path, text)

    assert eventually(lambda: "models_file_problem" in models(client))
    assert models(client)["models_file_problem"].startswith(reason)
    assert str(tmp_path) not in models(client)["models_file_problem"]
    assert status(client, "toy") == 200
    # The line is written a moment after the problem can be seen.
    assert eventually(lambda: "The changed models file is not used" in caplog.text)

    configure(tmp_path, TOY)
    assert eventually(lambda: "models_file_problem" not in models(client))
    assert caplog.text.count("The changed models file is not used") == 1


def test_a_new_model_counts_for_readyz_once_it_has_been_ready(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    configure(tmp_path, TOY + NEW)
    assert eventually(lambda: names(client) == ["toy", "new"])

    assert client.get("/readyz").json == {"status": "ready", "models": ["toy"]}
    assert client.get("/readyz?model=new").status_code == 503

    serving.models["new"] = {4: Servable()}
    assert eventually(lambda: len((client.get("/readyz").json or {}).get("models", ())) == 2)
    del serving.models["new"]
    assert eventually(lambda: client.get("/readyz").status_code == 503)


def test_another_description_is_taken_up(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["toy"] = {1: Servable(spec=None)}
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    described = TOY + 'input = { scale = "none" }\n'
    client = make_app(models=described).test_client()
    assert label(client) == "2"

    configure(tmp_path, described + 'labels = "labels.txt"\n')

    assert eventually(lambda: label(client) == "c")


def label(client: FlaskClient) -> str:
    answer = client.post("/models/toy/predict", json=WHITE).json or {}
    return str(answer["predictions"][0]["label"])


def test_labels_are_told_as_serving_has_them(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["toy"] = {1: Servable(), 2: Servable(spec=make_spec())}
    serving.labels = {"stable": 1}

    configure(tmp_path, TOY + "version_labels = { stable = 1, next = 2 }\n")

    assert eventually(lambda: labels(client) == {"stable": 1})
    serving.labels = {"stable": 2, "next": 2}
    assert eventually(lambda: labels(client) == {"stable": 2, "next": 2})


def labels(client: FlaskClient) -> dict[str, int]:
    found: dict[str, int] = (client.get("/models/toy").json or {})["version_labels"]
    return found


def test_a_model_moves_to_another_serving(
    client: FlaskClient, serving: StubServing, tmp_path: Path
) -> None:
    with StubServing().running() as other:
        other.models = {"toy": {9: Servable()}}

        configure(tmp_path, TOY + f'serving_url = "{other.url}"\n')

        assert eventually(lambda: (client.get("/models/toy").json or {})["version"] == 9)
        assert status(client, "toy") == 200
        configure(tmp_path, TOY)
        assert eventually(lambda: (client.get("/models/toy").json or {})["version"] == 1)


@pytest.mark.parametrize(
    "line",
    [
        'serving_url = ["http://tf-1.inner:8501", "tf-2.inner:8501"]',
        'serving_url = "tf-1.inner"',
        'serving_urls = "http://tf-1.inner:8501"',
    ],
)
def test_only_the_log_tells_a_wrong_address(
    client: FlaskClient, tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    configure(tmp_path, TOY + f"{line}\n")

    assert eventually(lambda: "models_file_problem" in models(client))
    problem = models(client)["models_file_problem"]
    assert problem.startswith(f"models.toml: models.toy.{line.partition(' ')[0]}: the value is not")
    assert ".inner" not in problem
    assert eventually(lambda: "tf-1.inner" in caplog.text)


def test_a_grpc_address_without_the_package_for_it_changes_nothing(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(client, "toy") == 200
    monkeypatch.setattr("flask_server.serving.connect.is_installed", lambda _: False)

    configure(tmp_path, TOY + 'serving_url = "grpc://127.0.0.1:9"\n')

    assert eventually(lambda: "models_file_problem" in models(client))
    assert "grpcio is not installed" in models(client)["models_file_problem"]
    assert "127.0.0.1" not in models(client)["models_file_problem"]
    assert status(client, "toy") == 200


@needs_prlimit
def test_a_server_is_polled_once_a_thread_can_be_started(serving: StubServing) -> None:
    models = unpolled(serving)
    before = set(threading.enumerate())

    with no_thread_left(), pytest.raises(RuntimeError, match="new thread"):
        models.start(60)
    models.start_missing()

    assert [one.name for one in set(threading.enumerate()) - before].count("model-poll") == 1
    models.stop()


def unpolled(serving: StubServing) -> Models:
    """Return the models of a file that has toy only."""
    server = connect(serving.url, 1)
    entry = ModelEntry(name="toy", base_path=Path("toy"))
    return Models((entry,), lambda _: server, 1, ReplayOptions(max_drift=1.0, spread_polls=1))


@needs_prlimit
def test_a_changed_file_is_read_while_no_thread_can_be_started(
    serving: StubServing, tmp_path: Path
) -> None:
    configure(tmp_path, TOY)
    models = unpolled(serving)
    poll = FilePoll(load_models_file(tmp_path / "models.toml"), models)
    configure(tmp_path, NEW)

    with no_thread_left():
        with pytest.raises(RuntimeError, match="new thread"):
            models.start(60)
        for _ in range(2):  # the first poll only notes the time of the file
            with pytest.raises(RuntimeError, match="new thread"):
                poll.poll()

    assert models.names == ("new",)
    models.stop()
