"""The pure parts of the scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import results
from benchmarks.bench import MAX_WINDOW_S, Bench
from benchmarks.fixtures import Fixture
from benchmarks.own_system import Layout, require_engine
from benchmarks.peer_systems import NotInstalled
from benchmarks.pictures import SIZE, jpegs, resized
from benchmarks.prepare import confident_and_diverse, least_clear
from benchmarks.run import SCENARIOS, measured, parser
from benchmarks.scenarios.milliseconds import stages_of
from benchmarks.scenarios.sweep import layouts
from benchmarks.table import COMPARISONS


def test_pictures_are_distinct_and_the_same_every_time() -> None:
    files = jpegs(6)

    assert len(set(files)) == 6
    assert files == jpegs(6)


def test_pictures_have_the_size_that_the_tables_name() -> None:
    assert SIZE == (500, 375)
    assert resized(jpegs(1)[0], 192).size == (192, 192)


def test_clear_pictures_of_many_classes_are_chosen() -> None:
    scores = np.array(
        [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.34, 0.33, 0.33], [0.0, 0.5, 0.5]],
        np.float32,
    )

    assert sorted(confident_and_diverse(scores, 2)) == [0, 2]


def test_pictures_without_a_best_class_are_not_chosen() -> None:
    scores = np.array([[1, 1], [0.2, 0.8], [1, 1]], np.float32)

    assert confident_and_diverse(scores, 2) == [1]


def test_pictures_count_by_their_least_clear_scores() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], np.float32)
    found = np.array([[0.7, 0.3], [0.2, 0.8], [0.8, 0.2]], np.float32)

    least = least_clear(scores, found)

    assert least == pytest.approx(np.array([[0.7, 0.3], [1.0, 1.0], [0.6, 0.4]]))


@pytest.mark.parametrize(
    ("connections", "pace", "seconds"),
    [(16, 100, 5), (16, 16, 16), (256, 100, 10.24), (16, 6, MAX_WINDOW_S), (256, 0, MAX_WINDOW_S)],
)
def test_slow_systems_and_many_connections_are_measured_for_longer(
    connections: int, pace: float, seconds: float
) -> None:
    assert Bench(seconds=5).window_s(connections, pace) == seconds


def test_what_lies_outside_all_stages_is_http() -> None:
    stages = stages_of("decode;dur=1.5, serving;dur=10.0, total;dur=12.5", 14.0)

    assert stages == {"decode": 1.5, "serving": 10.0, "whole": 14.0, "http": 2.5}


def test_the_sweep_tries_no_layout_twice() -> None:
    tried = list(layouts())

    assert len(tried) == len(set(tried)) > 1


def test_an_unknown_section_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--only", "inceptoin"])

    assert "'inceptoin' is no section; known are inception, mobilenet" in capsys.readouterr().err


def test_sections_are_selected_by_commas() -> None:
    assert parser().parse_args(["--only", "inception,mobilenet"]).only == ["inception", "mobilenet"]


def test_a_section_is_saved_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    document = results.fresh(short=True)

    results.add(document, "gateway_cpu", {"beyond_ms": 1.2}, path)

    saved = json.loads(path.read_text())
    commit = document["machine"]["commit"]
    assert saved["sections"] == {"gateway_cpu": {"beyond_ms": 1.2, "commit": commit}}
    assert [v["met"] for v in saved["targets"] if v["id"] == "4"] == [True]


def test_a_part_of_a_run_keeps_the_other_sections(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.add(results.fresh(short=False), "large_jpeg", {"ratio": 1.3}, path)

    document = results.continued(path, short=True)

    assert list(document["sections"]) == ["large_jpeg"]


def test_a_section_that_is_kept_has_the_commit_that_it_was_measured_at(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    before = results.fresh(short=False)
    before["machine"]["commit"] = "0ld"
    before["sections"] = {"top_k_growth": {"ratio": 1.0}}  # as earlier versions wrote it
    results.add(before, "large_jpeg", {"ratio": 1.3}, path)

    document = results.continued(path, short=True)
    results.add(document, "gateway_cpu", {"beyond_ms": 1.2}, path)
    again = results.continued(path, short=True)

    commits = {name: section["commit"] for name, section in again["sections"].items()}
    now = document["machine"]["commit"]
    assert commits == {"top_k_growth": "0ld", "large_jpeg": "0ld", "gateway_cpu": now}


def test_every_comparison_has_a_table() -> None:
    assert set(COMPARISONS) <= SCENARIOS.keys()


def test_a_section_without_its_program_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def genuine(_: Bench) -> dict[str, object]:
        raise NotInstalled("tensorflow_model_server is not installed")

    document = results.fresh(short=True)

    assert measured("genuine", genuine, Bench(), document)
    assert document["sections"] == {}
    assert "genuine is left out: tensorflow_model_server" in capsys.readouterr().out


def test_a_fixture_of_int8_has_the_pictures_of_its_network() -> None:
    fixture = Fixture(model="inception_int8", side=299, trained=False, pictures=[], class_ids=[])

    assert fixture.network == "inception"
    assert fixture.version.parent.name == "inception_int8"


def test_the_gateway_resizes_fast_for_int8_as_for_bf16() -> None:
    layouts = [Layout(precision=name) for name in ("f32", "bf16", "int8")]

    assert [layout.fast_resize for layout in layouts] == [False, True, True]


@pytest.mark.parametrize(
    ("layout", "engine"),
    [
        (Layout(), "openvino; precision=bf16"),
        (Layout(), "openvino; precision=f32"),
        (Layout(precision="int8"), "openvino; precision=int8"),
        (Layout(engine="tensorflow", precision="f32"), "tensorflow"),
    ],
)
def test_the_engine_of_the_layout_is_measured(layout: Layout, engine: str) -> None:
    require_engine(engine, layout)


@pytest.mark.parametrize(
    ("precision", "engine"), [("int8", "openvino; precision=bf16"), ("bf16", "tensorflow")]
)
def test_another_engine_than_that_of_the_layout_is_an_error(precision: str, engine: str) -> None:
    with pytest.raises(RuntimeError, match=f"computes openvino {precision} with {engine}"):
        require_engine(engine, Layout(precision=precision))
