"""The golden pictures of a version are replayed once, and a version with other scores is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from flask_server.settings import Settings, SettingsError
from model_catalog.golden import FOLDER, SCORES_FILE, Golden, GoldenPicture, write_golden
from model_catalog.quantization import REPORT_FILE
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.serving.test_serving_faults import ask
from tests.flask_server.serving.test_unusable_versions import shown
from tests.flask_server.stub_serving import Servable, StubServing, by_brightness, make_spec
from tests.flask_server.views.test_model_views import URL, code
from tests.reports import REPORT
from tests.waiting import eventually

SPEC = make_spec()
PIXELS = {"dark": bytes(range(48)), "light": bytes(range(200, 248))}


def golden_version(tmp_path: Path, version: int, change: float = 0.0) -> None:
    """Write golden pictures whose scores the stub returns, but for a change."""
    pictures = []
    for name, pixels in PIXELS.items():
        scores = by_brightness(np.frombuffer(pixels, np.uint8))
        pictures.append(GoldenPicture(name, pixels, (scores[0] + change, *scores[1:])))
    write_golden(tmp_path / "toy" / str(version), SPEC.images, Golden(tuple(pictures)))


def measured(client: FlaskClient) -> dict[str, Any]:
    """Wait until the drift is shown."""
    assert eventually(lambda: client.get("/models/toy").get_json().get("score_drift") is not None)
    document: dict[str, Any] = client.get("/models/toy").get_json()
    return document


def replays(serving: StubServing) -> int:
    return sum(len(body["instances"]) == len(PIXELS) for body in serving.predicts)


def test_the_same_scores_have_no_drift_and_are_replayed_once(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    golden_version(tmp_path, 1)
    client = make_app().test_client()

    document = measured(client)
    for _ in range(3):
        shown(client)

    assert document["score_drift"] < 1e-9
    assert document["warnings"] == []
    assert replays(serving) == 1
    assert b'gateway_model_score_drift{model="toy"}' in client.get("/metrics").data


def test_other_scores_are_a_warning_of_the_model_and_not_of_its_answers(
    make_app: MakeApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    golden_version(tmp_path, 1, change=-0.5)
    client = make_app().test_client()

    document = measured(client)

    assert document["score_drift"] == pytest.approx(0.5)
    assert document["warnings"] == [
        "Version 1 returns other scores than the exported model: those of its golden images "
        "differ by up to 0.5."
    ]
    assert "warnings" not in ask(client).get_json()
    assert f"model toy: {document['warnings'][0]}" in caplog.text


@pytest.mark.parametrize(
    ("change", "report", "warned"),
    [
        (-0.25, REPORT.to_json(), False),
        (-0.35, REPORT.to_json(), True),
        (-0.25, "{}", True),
    ],
)
def test_int8_may_drift_as_far_as_its_report_explains(
    make_app: MakeApp,
    serving: StubServing,
    tmp_path: Path,
    change: float,
    report: str,
    warned: bool,
) -> None:
    golden_version(tmp_path, 1, change)
    (tmp_path / "toy" / "1" / REPORT_FILE).write_text(report)
    serving.models["toy"][1].engine = "openvino; precision=int8"

    document = measured(make_app().test_client())

    assert bool(document["warnings"]) == warned


@pytest.mark.parametrize("damaged", [False, True])
def test_without_usable_golden_pictures_nothing_is_measured(
    make_app: MakeApp, serving: StubServing, tmp_path: Path, damaged: bool
) -> None:
    if damaged:
        golden_version(tmp_path, 1)
        (tmp_path / "toy" / "1" / FOLDER / SCORES_FILE).write_text(json.dumps({"format": 9}))
    client = make_app(max_score_drift=0.0).test_client()

    assert ask(client).status_code == 200
    assert shown(client)["score_drift"] is None
    assert replays(serving) == 0


def test_a_version_with_more_drift_than_the_setting_allows_is_refused(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    golden_version(tmp_path, 1, change=-0.01)
    client = make_app(max_score_drift=0.02).test_client()
    assert ask(client).get_json()["version"] == 1

    golden_version(tmp_path, 2, change=-0.03)
    serving.models["toy"][2] = Servable()
    document = shown(client)

    assert (document["ready"], document["version"]) == (True, 1)
    assert document["score_drift"] == pytest.approx(0.01)
    errors = {v["version"]: v["error"] for v in document["versions"]}
    assert errors[2] == (
        "The scores of its golden images differ by up to 0.03 from those of the exported model; "
        "allowed is 0.02 (GATEWAY_MAX_SCORE_DRIFT)."
    )
    assert code(client.post(f"{URL}?version=2", data=flat("white"))) == (502, "serving_error")
    assert replays(serving) == 2


def test_a_version_that_comes_back_is_replayed_again(
    make_app: MakeApp, serving: StubServing, tmp_path: Path
) -> None:
    golden_version(tmp_path, 1)
    client = make_app().test_client()
    measured(client)

    servable = serving.models["toy"].pop(1)
    shown(client)
    serving.models["toy"][1] = servable
    shown(client)

    measured(client)
    assert replays(serving) == 2


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("0.01", 0.01), ("1e-3", 0.001), ("2", 2.0)]
)
def test_the_setting_is_a_difference_of_scores(text: str, value: float) -> None:
    assert Settings.from_env({"GATEWAY_MAX_SCORE_DRIFT": text}).max_score_drift == value


@pytest.mark.parametrize("text", ["", "-1", "nan", "little", "1e400"])
def test_other_values_of_the_setting_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="allowed is a difference of scores, such as 0.01"):
        Settings.from_env({"GATEWAY_MAX_SCORE_DRIFT": text})
