"""The page of levers is made from the data beside the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import levers

ROOT = Path(__file__).parents[2]
HEAD = "area,lever,where,effect,kept,reason\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "levers.csv"


def test_the_page_is_made_from_the_data() -> None:
    assert levers.PAGE.read_text(encoding="utf-8") == levers.page(levers.read()), (
        f"{levers.PAGE.name} was not made from {levers.DATA.name}: python -m benchmarks.levers"
    )


@pytest.mark.parametrize("where", sorted({x.where for x in levers.read() if x.where}))
def test_the_file_of_a_lever_exists(where: str) -> None:
    assert (ROOT / where).is_file()


def test_levers_are_grouped_by_area_in_the_order_of_the_file(file: Path) -> None:
    file.write_text(HEAD + "B,one,a.py,-1 ms,yes,\nA,two,,nothing,no,slow\nB,three,,+1 %,yes,\n")

    found = [line for line in levers.page(levers.read(file)).splitlines() if line[:1] in {"#", "|"}]

    table = ["| lever | where | measured effect | kept |", "| --- | --- | --- | --- |"]
    assert found[1:] == [
        "## B",
        *table,
        "| one | `a.py` | -1 ms | yes |",
        "| three |  | +1 % | yes |",
        "## A",
        *table,
        "| two |  | nothing | no: slow |",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lever,kept\n", "expected"),
        (HEAD + "A,one,,-1 ms,perhaps,\n", "Line 2: kept is 'perhaps'; allowed is yes, no"),
        (HEAD + "A,one,,,yes,\n", "Line 2: area, lever and effect"),
    ],
)
def test_an_incomplete_row_is_refused(file: Path, text: str, message: str) -> None:
    file.write_text(text)

    with pytest.raises(ValueError, match=message):
        levers.read(file)
