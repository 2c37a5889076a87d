"""The list of models: states of a running Serving, or the folders where nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_catalog.model_entry import ModelEntry
from orchestrator.models.model_health import ServedVersions
from serving_gateway.models import Row, main, rows_of, states_of, table
from tests.flask_server.stub_serving import StubServing


def entry(base_path: Path, name: str = "m", **fields: object) -> ModelEntry:
    return ModelEntry(name=name, base_path=base_path, **fields)  # type: ignore[arg-type]


def test_without_a_serving_the_versions_are_those_on_disk(tmp_path: Path) -> None:
    for version in ("2", "10"):
        (tmp_path / version).mkdir()

    rows = list(rows_of(entry(tmp_path, version_labels={"stable": 2}), None))

    assert [(row.version, row.state, row.labels) for row in rows] == [
        (2, "on disk", ("stable",)),
        (10, "on disk", ()),
    ]


def test_a_model_without_a_version_has_one_row_that_says_so(tmp_path: Path) -> None:
    (empty,) = rows_of(entry(tmp_path), None)
    (absent,) = rows_of(entry(tmp_path / "absent"), None)

    assert (empty.version, empty.state) == (None, "no version")
    assert (absent.version, absent.state) == (None, "No such file or directory")


def test_serving_tells_the_states_and_folders_that_it_does_not_serve_are_listed_too() -> None:
    served = ServedVersions({2: "AVAILABLE", 3: "LOADING"})

    states = states_of(served, {1: Path("1"), 2: Path("2"), 3: Path("3")}, is_asked=True)

    assert states == {1: "not served", 2: "AVAILABLE", 3: "LOADING"}


def test_a_serving_that_does_not_answer_is_told() -> None:
    assert states_of(None, {1: Path("1")}, is_asked=True) == {1: "on disk, no answer"}


def test_a_model_of_another_serving_has_no_folder_here() -> None:
    elsewhere = entry(Path("m"), serving_url="http://127.0.0.1:1")

    (row,) = rows_of(elsewhere, elsewhere.serving_url)

    assert (row.version, row.state, row.folder) == (None, "no answer", "")


def test_a_model_of_a_grpc_port_is_not_asked() -> None:
    elsewhere = entry(Path("m"), serving_url="grpc://127.0.0.1:1")

    (row,) = rows_of(elsewhere, elsewhere.serving_url)

    assert row.state == "not asked, as its address is a gRPC port"


def test_of_several_addresses_the_first_that_answers_is_asked() -> None:
    with StubServing().running() as stub:
        toy = entry(Path("m"), name="toy", serving_url=f"http://127.0.0.1:1,{stub.url}")

        (row,) = rows_of(toy, toy.serving_url)

    assert (row.version, row.state) == (1, "AVAILABLE")


def test_the_table_has_a_line_for_each_version() -> None:
    row = Row(model="digits", version=3, state="AVAILABLE", labels=("a", "b"), folder="/m/3")

    assert table([row]).splitlines() == [
        "MODEL   VERSION  STATE      LABELS  FOLDER",
        "digits  3        AVAILABLE  a, b    /m/3",
    ]


@pytest.mark.parametrize("action", [[], ["list"]])
def test_list_is_what_models_does_without_an_action(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: list[str]
) -> None:
    (tmp_path / "models.toml").write_text('[models.m]\nbase_path = "m"\n')
    (tmp_path / "m" / "1").mkdir(parents=True)
    words = ["--models-file", str(tmp_path / "models.toml"), "--run-dir", str(tmp_path / "run")]

    assert main([*action, *words], "serving-gateway") == 0
    assert "nothing is running; the versions are those of" in capsys.readouterr().out
    assert main([*action, *words, "--json"], "serving-gateway") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["running"] is False
    assert document["versions"] == [
        {
            "model": "m",
            "version": 1,
            "state": "on disk",
            "labels": [],
            "folder": str(tmp_path / "m" / "1"),
        }
    ]
