"""A version that Serving has available and the gateway cannot use: named, and in nobody's way."""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import walk_tb
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from flask_server.serving.models import Models
from flask_server.web.services import services_of
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.stub_serving import Scorer, Servable, StubServing, make_spec, tensor
from tests.flask_server.views.test_model_views import URL, code
from tests.waiting import eventually

TWO_MODELS = '[models.toy]\nbase_path="toy"\n[models.foreign]\nbase_path="f"\n'
UNUSABLE = Servable(None)
WITHOUT_INPUT = "the models file does not set its input"


def models_of(client: FlaskClient) -> Models:
    return services_of(client.application).gateway.models


def shown(client: FlaskClient, name: str = "toy") -> dict[str, Any]:
    client.get("/models")
    models_of(client).poll(name)
    document: dict[str, Any] = client.get(f"/models/{name}").get_json()
    return document


def test_other_models_go_on(make_app: MakeApp, serving: StubServing) -> None:
    serving.models["foreign"] = {1: UNUSABLE}
    client = make_app(TWO_MODELS).test_client()

    assert client.get("/readyz?model=toy").status_code == 200
    assert ask(client).status_code == 200
    detail = client.get("/readyz").get_json()["detail"]
    assert detail.startswith("Not ready: foreign. foreign: The SavedModel of model foreign")
    assert WITHOUT_INPUT in detail
    assert "toy" not in detail


def test_refused_requests_leave_nothing_in_the_state(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["toy"] = {1: UNUSABLE}
    client = make_app(poll_interval_s=3600.0).test_client()

    assert [ask(client).status_code for _ in range(3)] == [502, 502, 502]

    problem = models_of(client).state("toy").problem
    assert problem is not None
    frames = [frame.f_code.co_name for frame, _ in walk_tb(problem.__traceback__)]
    assert "newest" not in frames


def test_each_model_that_is_not_ready_has_its_reason(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models |= {"foreign": {1: UNUSABLE}, "toy": {1: Servable(state="LOADING")}}

    detail = make_app(TWO_MODELS).test_client().get("/readyz").get_json()["detail"]

    assert detail.startswith("Not ready: toy, foreign. toy: Model toy has no available version")
    assert WITHOUT_INPUT in detail


def test_older_version_answers_instead_of_an_unusable_one(
    make_app: MakeApp, serving: StubServing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = make_app().test_client()
    assert ask(client).get_json()["version"] == 1

    serving.models["toy"][2] = UNUSABLE
    document = shown(client)

    assert (document["ready"], document["version"]) == (True, 1)
    assert "error" not in document
    errors = {v["version"]: v["error"] for v in document["versions"]}
    assert errors[1] == ""
    assert WITHOUT_INPUT in errors[2]
    assert document["warnings"] == [f"Version 2 cannot be used: {errors[2]}"]
    assert client.get("/readyz").status_code == 200
    assert ask(client).get_json()["version"] == 1
    assert "warnings" not in ask(client).get_json()
    assert f"Version 2 cannot be used: {errors[2]}" in caplog.text

    reply = client.post(f"{URL}?version=2", data=flat("white"))
    assert code(reply) == (502, "serving_error")
    assert WITHOUT_INPUT in reply.text

    serving.models["toy"][2] = Servable()
    assert shown(client)["version"] == 2
    assert shown(client)["warnings"] == []


def test_gateway_that_starts_beside_unusable_versions_takes_the_newest_usable_one(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["toy"] |= {2: Servable(), 3: UNUSABLE, 4: UNUSABLE}
    client = make_app().test_client()

    assert ask(client).get_json()["version"] == 2
    assert [w[:26] for w in shown(client)["warnings"]] == [
        "Version 4 cannot be used: ",
        "Version 3 cannot be used: ",
    ]


def test_unloaded_usable_version_leaves_the_reason_of_the_other(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["toy"][2] = UNUSABLE
    client = make_app().test_client()
    assert ask(client).status_code == 200

    del serving.models["toy"][1]
    document = shown(client)

    assert (document["ready"], document["version"]) == (False, None)
    assert WITHOUT_INPUT in document["error"]["detail"]
    assert code(ask(client)) == (502, "serving_error")


@pytest.mark.parametrize(
    "answer",
    [(404, {"error": "no such servable"}), (503, {"error": "busy"}), (500, b""), (200, b"{}")],
    ids=["gone", "busy", "defect", "other JSON"],
)
def test_version_whose_description_fails_takes_no_other_away(
    make_app: MakeApp, serving: StubServing, answer: tuple[int, Any]
) -> None:
    client = make_app(poll_interval_s=60).test_client()
    assert ask(client).status_code == 200
    serving.models["toy"][2] = Servable()

    serving.metadata_answer = answer
    document = shown(client)

    assert (document["ready"], document["version"]) == (True, 1)
    assert document["warnings"]
    serving.metadata_answer = None
    assert shown(client)["version"] == 2


def test_version_whose_description_hangs_takes_no_other_away(
    make_app: MakeApp, serving: StubServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_server.serving.model_watch.POLL_TIMEOUT_S", 1.0)
    serving.models["toy"][2] = Servable()
    serving.metadata_delays_s[2] = 60
    client = make_app().test_client()

    assert eventually(lambda: ask(client).status_code == 200)
    assert ask(client).get_json()["version"] == 1
    assert eventually(lambda: "Version 2 cannot be used" in str(shown(client)["warnings"]))


def test_export_whose_spec_and_scores_differ_is_unusable(
    make_app: MakeApp, serving: StubServing
) -> None:
    scores = {"outputs": {"scores": tensor("DT_FLOAT", (-1, 5))}}
    declared = Servable().signatures() | {"pixels": scores}
    serving.models["toy"] = {1: Servable(declared=declared)}
    client = make_app().test_client()

    assert "has 5 scores per image; the spec" in client.get("/readyz").get_json()["detail"]


@pytest.mark.parametrize("scores", [(-1, 1), (-1,), (-1, 2), (-1, -1)])
def test_export_of_two_classes_may_have_one_score(
    make_app: MakeApp, serving: StubServing, scores: tuple[int, ...]
) -> None:
    pixels = {"outputs": {"scores": tensor("DT_FLOAT", scores)}}
    pets = Servable(make_spec(labels=("cat", "dog")), lambda _: [0.75])
    pets.declared = pets.signatures() | {"pixels": pixels}
    serving.models["toy"] = {1: pets}

    answer = ask(make_app().test_client()).get_json()

    assert [p["label"] for p in answer["predictions"]] == ["dog", "cat"]
    assert [p["score"] for p in answer["predictions"]] == [0.75, 0.25]


OPEN = '[models.toy]\nbase_path="f"\nlabels = "labels.txt"\ninput = { scale = "unit" }\n'


def open_models(folder: Path, *labels: str) -> str:
    """A models file with these labels for a model that declares nothing of them."""
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    return OPEN


def of_open_size(score: Scorer) -> Servable:
    """A model of another tool whose signature leaves the number of scores open."""
    return Servable(None, score, outputs={"y": ("DT_FLOAT", -1)})


@pytest.mark.parametrize(("labels", "count"), [("ab", 3), ("abcd", 3), ("a", 2), ("a", 20_000)])
def test_undeclared_number_of_scores_is_found_by_a_black_image(
    make_app: MakeApp, serving: StubServing, tmp_path: Path, labels: str, count: int
) -> None:
    serving.models["toy"] = {1: of_open_size(lambda _: [0.5] * count)}
    client = make_app(open_models(tmp_path, *labels)).test_client()

    detail = client.get("/readyz").get_json()["detail"]

    assert f"which returns for a black image {count} scores. " in detail
    assert code(ask(client)) == (502, "serving_error")


def test_model_of_open_size_is_asked_once_before_it_is_live(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["toy"] = {1: of_open_size(lambda _: [float("nan"), 0.25, 0.75])}
    client = make_app(open_models(tmp_path, *"abc")).test_client()

    for _ in range(2):
        assert shown(client)["ready"]

    [probe] = serving.predicts
    assert not np.any(probe["instances"])


def test_model_of_open_size_that_refuses_a_black_image_is_live(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    serving.models["toy"] = {1: of_open_size(lambda _: [0.5, 0.25, 0.25])}
    serving.answer = (400, {"error": "too dark"})
    client = make_app(open_models(tmp_path, *"abc")).test_client()
    assert shown(client)["ready"]

    serving.answer = None

    assert ask(client).status_code == 200


def test_long_names_are_cut_in_the_reason(make_app: MakeApp, serving: StubServing) -> None:
    inputs = {f"input_{n}": tensor("DT_FLOAT", (-1, 4)) for n in range(1000)}
    declared = {"serving_default": {"inputs": inputs, "outputs": {}}}
    serving.models["toy"] = {1: Servable(None, declared=declared)}
    models = '[models.toy]\nbase_path="f"\ninput = { scale = "unit" }\n'

    detail = make_app(models).test_client().get("/readyz").get_json()["detail"]

    assert "…; exactly one is needed" in detail
    assert len(detail) < 600
