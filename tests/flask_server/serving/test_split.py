"""Requests are divided among version labels, as ``split`` of the models file says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from flask_server.access import key_writer
from flask_server.inference.split import split_point
from flask_server.serving.traffic import Traffic
from flask_server.settings import Settings, SettingsError
from tests.flask_server.conftest import MakeApp, b64, flat
from tests.flask_server.serving.test_models_at_run_time import configure
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
TOY = '[models.toy]\nbase_path = "toy"\n'
URL = "/models/toy/predict"
WHITE = {"image": b64(flat("white")), "top_k": 1}


def two_versions(serving: StubServing) -> None:
    """Version 1 is labelled stable, and version 2, whose labels have other names, canary."""
    names = ("black", "grey", "white")
    serving.models["toy"] = {1: Servable(), 2: Servable(make_spec(labels=names))}
    serving.labels = {"stable": 1, "canary": 2}


def with_split(split: str) -> str:
    return f"{TOY}split = {split}\n"


def ask(client: FlaskClient, **headers: str) -> Any:
    response = client.post(URL, json=WHITE, headers=headers)
    assert response.status_code == 200, response.json
    return response.json


def warnings(client: FlaskClient) -> str:
    return " ".join((client.get("/models/toy").json or {})["warnings"])


def test_points_are_stable_evenly_spread_and_differ_between_models() -> None:
    points = [split_point("toy", f"key {number}") for number in range(2000)]

    assert points == [split_point("toy", f"key {number}") for number in range(2000)]
    assert all(0 <= point < 1 for point in points)
    assert 0.07 < sum(point < 0.1 for point in points) / 2000 < 0.13
    assert split_point("toy", "key 1") != split_point("other", "key 1")
    assert split_point("toy", None) != split_point("toy", None)
    assert 0 <= split_point("toy", "\udcff") < 1


def test_callers_of_a_label_stay_with_it_when_its_weight_grows() -> None:
    versions: Any = {"stable": "one", "canary": "two"}
    small = Traffic({"stable": 95, "canary": 5}, {}, versions)
    large = Traffic({"stable": 3, "canary": 1}, {}, versions)
    points = [number / 1000 for number in range(1000)]

    assert Counter(map(small.choose, points)) == {"one": 950, "two": 50}
    assert Counter(map(large.choose, points)) == {"one": 750, "two": 250}
    assert {p for p in points if small.choose(p) == versions["canary"]} <= {
        p for p in points if large.choose(p) == versions["canary"]
    }


def test_three_labels_and_one_without_weight() -> None:
    versions: Any = {"a": "A", "b": "B", "c": "C"}
    traffic = Traffic({"a": 0, "b": 1, "c": 1}, {}, versions)

    assert Counter(traffic.choose(n / 100) for n in range(100)) == {"B": 50, "C": 50}


@pytest.mark.parametrize("canary", [0, 100])
def test_the_answer_names_version_and_label(
    make_app: MakeApp, serving: StubServing, canary: int
) -> None:
    two_versions(serving)
    split = f"{{ stable = {100 - canary}, canary = {canary} }}"
    client = make_app(with_split(split)).test_client()

    answer = ask(client)
    original = client.post("/imageclassifier/predict/", data={"b64": WHITE["image"]})
    image = {"image": WHITE["image"]}
    heat = client.post("/models/toy/explain?format=json&grid=2", json=image)

    version, label, name = (2, "canary", "white") if canary else (1, "stable", "light")
    assert (answer["version"], answer["version_label"]) == (version, label)
    assert answer["predictions"][0]["label"] == name
    assert original.json is not None
    assert original.json[0][1] == name
    assert original.headers["X-Model-Version"] == str(version)
    assert original.headers["X-Model-Version-Label"] == label
    assert heat.json is not None
    assert (heat.json["version"], heat.json["version_label"]) == (version, label)
    assert (client.get("/models/toy").json or {})["split"] == {
        "stable": 100 - canary,
        "canary": canary,
    }


def test_a_version_or_label_in_the_request_goes_before_the_split(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ canary = 1 }")).test_client()

    for parameters in ({"version": 1}, {"label": "stable"}):
        response = client.post(URL, json=WHITE | parameters)
        assert response.json is not None
        assert response.json["version"] == 1
        assert "version_label" not in response.json
        assert "X-Model-Version" not in response.headers


def test_an_api_key_stays_with_its_label(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    two_versions(serving)
    keys = [key_writer.create(tmp_path / "keys.json", f"k{number}") for number in range(20)]
    app = make_app(with_split("{ stable = 50, canary = 50 }"), api_keys_file=tmp_path / "keys.json")
    client = app.test_client()

    seen = [{ask(client, **{"X-API-Key": key})["version"] for _ in range(2)} for key in keys]

    assert all(len(versions) == 1 for versions in seen)
    assert set.union(*seen) == {1, 2}


def test_a_header_stays_with_its_label_and_others_are_divided_by_chance(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    split = with_split("{ stable = 50, canary = 50 }")
    client = make_app(split, split_header="X-User").test_client()

    by_user = [{ask(client, **{"X-User": f"u{n}"})["version"] for _ in range(3)} for n in range(12)]
    by_chance = {ask(client)["version"] for _ in range(40)}

    assert all(len(versions) == 1 for versions in by_user)
    assert set.union(*by_user) == by_chance == {1, 2}


def test_a_missing_label_leaves_its_share_to_the_default_label_and_is_shown(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    del serving.labels["canary"]
    client = make_app(with_split("{ stable = 0, canary = 1 }")).test_client()

    assert ask(client)["version_label"] == "stable"
    assert (
        "Label canary of split has no usable version (the model server does not name one); its"
        " requests go to label stable."
    ) in warnings(client)
    assert 'gateway_traffic_label_usable{model="toy",version_label="canary"} 0.0' in (
        client.get("/metrics").text
    )

    serving.labels["canary"] = 2
    assert eventually(lambda: ask(client)["version_label"] == "canary")
    assert warnings(client) == ""


def test_a_label_without_a_share_needs_no_version(make_app: MakeApp, serving: StubServing) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 100, next = 0 }")).test_client()

    assert ask(client)["version_label"] == "stable"
    assert warnings(client) == ""
    assert 'version_label="next"' not in client.get("/metrics").text


def test_without_the_default_label_requests_get_the_newest_version(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    del serving.labels["stable"]
    client = make_app(with_split("{ stable = 1 }")).test_client()

    answer = ask(client)

    assert answer["version"] == 2
    assert "version_label" not in answer
    assert "its requests go to the newest version." in warnings(client)


def test_a_label_whose_version_cannot_be_used_leaves_its_share(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    serving.models["toy"][2] = Servable(None, declared={})
    client = make_app(with_split("{ stable = 0, canary = 1 }")).test_client()

    assert ask(client)["version"] == 1
    assert "Label canary of split has no usable version (version 2: " in warnings(client)


def test_a_version_that_is_unloaded_between_two_polls_leaves_its_share(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    split = with_split("{ stable = 0, canary = 1 }")
    client = make_app(split, poll_interval_s=60.0).test_client()
    assert ask(client)["version"] == 2

    del serving.models["toy"][2], serving.labels["canary"]

    assert ask(client)["version"] == 1


def test_a_label_keeps_its_version_if_a_poll_failed_and_the_next_finds_no_label(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 1 }")).test_client()
    assert ask(client)["version"] == 1

    serving.status_answer = serving.label_answer = (503, {"error": "busy"})
    assert eventually(lambda: not (client.get("/models/toy").json or {})["ready"])
    serving.status_answer = None
    assert eventually(lambda: (client.get("/models/toy").json or {})["ready"])

    assert ask(client)["version_label"] == "stable"
    assert warnings(client) == ""


def test_the_fault_of_a_label_is_shown(make_app: MakeApp, serving: StubServing) -> None:
    two_versions(serving)
    serving.label_answer = (503, {"error": "busy"})
    client = make_app(with_split("{ stable = 1 }")).test_client()

    assert ask(client)["version"] == 2
    assert "Label stable of split has no usable version (The model server" in warnings(client)
    assert "does not name one" not in warnings(client)


def test_a_split_is_taken_up_at_run_time(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 1 }")).test_client()
    assert ask(client)["version"] == 1

    configure(tmp_path, with_split("{ stable = 0, canary = 1 }"))
    assert eventually(lambda: ask(client)["version"] == 2)

    configure(tmp_path, TOY)
    assert eventually(lambda: "version_label" not in ask(client))


def test_an_error_of_the_chosen_version_is_counted_as_its_own(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 0, canary = 1 }")).test_client()
    serving.models["toy"][2].score = lambda _: [0.5]

    response = client.post(URL, json=WHITE)

    assert response.status_code == 502
    assert response.headers["X-Model-Version-Label"] == "canary"
    counted = 'gateway_predictions_total{model="toy",outcome="serving_error",version="2"} 1.0'
    assert counted in client.get("/metrics").text


def test_an_error_before_the_image_is_decoded_is_counted_for_the_chosen_version(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 0, canary = 1 }")).test_client()

    response = client.post(URL, json=WHITE | {"labels": ["nothing of this name"]})

    assert response.status_code == 400
    assert response.headers["X-Model-Version"] == "2"
    assert response.headers["X-Model-Version-Label"] == "canary"
    counted = 'gateway_predictions_total{model="toy",outcome="invalid_parameter",version="2"} 1.0'
    assert counted in client.get("/metrics").text


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"class": "nothing of this name"}, "invalid_parameter"),
        ({"image": b64(b"?")}, "unsupported_image"),
    ],
)
def test_a_failed_explanation_names_the_chosen_version(
    make_app: MakeApp, serving: StubServing, parameters: dict[str, str], code: str
) -> None:
    two_versions(serving)
    client = make_app(with_split("{ stable = 0, canary = 1 }")).test_client()

    response = client.post("/models/toy/explain", json={"image": WHITE["image"]} | parameters)

    assert (response.json or {})["code"] == code
    assert response.headers["X-Model-Version"] == "2"
    assert response.headers["X-Model-Version-Label"] == "canary"


def test_a_label_may_have_letters_that_a_header_cannot(
    make_app: MakeApp, serving: StubServing
) -> None:
    two_versions(serving)
    serving.labels |= {"prüfung": 2, quote("prüfung"): 2}  # in the stub's paths it is quoted
    client = make_app(with_split('{ "prüfung" = 1 }')).test_client()

    response = client.post(URL, json=WHITE)

    assert response.json is not None
    assert response.json["version_label"] == "prüfung"
    assert response.headers["X-Model-Version-Label"] == "pr%C3%BCfung"


@pytest.mark.parametrize("text", ["", "X User", "a:b", "X-Ü"])
def test_the_header_has_to_be_the_name_of_one(text: str) -> None:
    with pytest.raises(SettingsError, match="such as X-User-ID"):
        Settings.from_env({"GATEWAY_SPLIT_HEADER": text})


def test_the_header_is_read_from_the_environment() -> None:
    assert Settings.from_env({"GATEWAY_SPLIT_HEADER": "X-User-ID"}).split_header == "X-User-ID"
