"""The tables of the README are generated from the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import table
from benchmarks.results import README, kept


def document(flag: str, verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"machine": {"features": [flag]}, "targets": verdicts}


def test_only_what_is_between_the_markers_changes() -> None:
    readme = f"# Title\n{table.BEGIN}\nold\n{table.END}\nhow to run it"

    found = table.between_markers(readme, "new")

    assert found == f"# Title\n{table.BEGIN}\nnew\n{table.END}\nhow to run it"


def test_a_readme_without_markers_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="lacks"):
        table.between_markers("# Title", "new")


def test_figures_stand_right_and_names_left() -> None:
    found = table.grid(["system", "requests/s"], [["ours", "63.0"]])

    assert found.splitlines() == [
        "| system | requests/s |",
        "| --- | ---: |",
        "| ours | 63.0 |",
    ]


def test_a_target_that_is_missed_stands_out() -> None:
    verdicts: list[dict[str, Any]] = [
        {"id": "1", "what": "fast", "value": 0.5, "target": ">= 0.88", "met": False},
        {"id": "2", "what": "small", "value": None, "target": "<= 350", "met": False},
        {"id": "3", "what": "soon", "value": 0.42, "target": "<= 1.2", "met": True},
    ]

    rows = table.targets([document("avx2", verdicts)]).splitlines()[2:]

    assert rows == [
        "| 1 | fast | 0.5 | >= 0.88 | **no** |",
        "| 2 | small | not measured | <= 350 |  |",
        "| 3 | soon | 0.42 | <= 1.2 | yes |",
    ]


def test_kinds_of_processors_stand_side_by_side() -> None:
    one = {"id": "1", "what": "fast", "value": 0.6, "target": ">= 0.55", "met": True}
    new = {"id": "2", "what": "new", "value": 0.7, "target": ">= 0.62", "met": True}
    other = one | {"target": ">= 0.62", "met": False}

    found = table.targets([document("amx_bf16", [other, new]), document("avx512_bf16", [one])])

    assert found.splitlines() == [
        "| target | what | AMX | wanted | met | AVX-512 with bf16 | wanted | met |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| 1 | fast | 0.6 | >= 0.62 | **no** | 0.6 | >= 0.55 | yes |",
        "| 2 | new | 0.7 | >= 0.62 | yes |  |  |  |",
    ]


@pytest.mark.parametrize(("trained", "head"), [(True, "192², 16"), (False, "192², random")])
def test_a_comparison_says_whether_the_weights_are_random(trained: bool, head: str) -> None:
    section = {"model": "mobilenet", "trained": trained, "connections": 16}

    found = table.throughput(section | {"systems": {}, "limits": {}, "absent": {}})

    assert f"MobileNet 0.75 {head}" in found


def test_starts_of_each_precision_have_a_row() -> None:
    later = {"ready_s": 0.414, "resident_mb": 193.2, "resident_after_load_mb": 240}

    found = table.starts([{"engine": "openvino int8", "later": later}])

    assert found.splitlines()[2:] == ["| openvino int8 | 0.41 | 193 | 240 |"]


def test_sections_of_other_commits_are_named_with_their_date() -> None:
    sections = {
        "large_jpeg": {"commit": "0ld", "at": "2026-11-27"},
        "gateway_cpu": {"commit": "new", "at": "2026-11-28"},
        "milliseconds": {"at": "2026-11-28"},  # as earlier versions wrote it
    }
    machine = {
        **dict.fromkeys(("processor", "cores", "system", "python"), ""),
        "features": [],
        "packages": {},
        "commit": "new",
    }
    measured = {name: section | {"load_average": 0.1} for name, section in sections.items()}

    found = table.conditions({"machine": machine, "finished": "2026-11-28", "sections": measured})

    assert "commit new, 2026-11-28. Measured earlier: large_jpeg (commit 0ld, 2026-11-27)." in found


def test_the_readme_shows_the_results_beside_it() -> None:
    assert README.read_text() == table.between_markers(README.read_text(), table.report(kept())), (
        f"{README.name} was not made from the results: python -m benchmarks.run --report"
    )


def test_the_readme_opens_with_the_table() -> None:
    lines = [line for line in Path(README).read_text().splitlines() if line]

    assert lines[1:2] == [table.BEGIN]
