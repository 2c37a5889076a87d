"""Tables of results are read back as they were written, in each format."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from scripts.classification import outputs
from scripts.classification.journal import journal_of
from scripts.classification.rows import Class, Row, in_order
from scripts.errors import ScriptError

ROWS = [
    Row(
        file='a "quoted",\nname.png',
        model="m",
        version=3,
        predictions=(Class("n1", "äpfel, red", 0.75), Class("n2", "pear", 0.1)),
    ),
    Row(file="b.png", model="m", error="invalid_image", detail="It is cut off."),
]


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet", "R.CSV"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    assert outputs.read(tmp_path / name) == []

    outputs.write(tmp_path / name, ROWS, top_k=2)

    assert outputs.read(tmp_path / name) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == [name]
    outputs.write(tmp_path / name, [], top_k=2)
    assert outputs.read(tmp_path / name) == []


def test_csv_has_a_column_per_rank_and_parquet_has_types(tmp_path: Path) -> None:
    from pyarrow import parquet

    outputs.write(tmp_path / "r.csv", ROWS, top_k=3)
    outputs.write(tmp_path / "r.parquet", ROWS, top_k=3)

    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["label_1"], first["id_2"], first["score_3"]) == ("äpfel, red", "n2", "")
    assert (second["version"], second["error"]) == ("", "invalid_image")
    table = parquet.read_table(tmp_path / "r.parquet")
    assert str(table.schema.field("score_1").type) == "double"
    assert str(table.schema.field("version").type) == "int64"


def test_json_lines_are_objects(tmp_path: Path) -> None:
    outputs.write(tmp_path / "r.jsonl", ROWS, top_k=2)

    first = json.loads((tmp_path / "r.jsonl").read_text().splitlines()[0])
    assert first["predictions"][0] == {"class_id": "n1", "label": "äpfel, red", "score": 0.75}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "name,age\nx,1\n"),
        ("r.csv", b"\xff\xfe"),
        ("r.jsonl", '{"a": 1}\n'),
        ("r.jsonl", "[1]\n"),
        ("r.parquet", "no parquet"),
    ],
)
def test_a_file_of_another_kind_is_never_replaced(
    tmp_path: Path, name: str, text: str | bytes
) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ScriptError, match="is no table of results"):
        outputs.read(tmp_path / name)


def test_an_unknown_suffix_and_a_missing_pyarrow_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ScriptError, match=r"allowed is a name that ends in \.csv, \.jsonl"):
        outputs.format_of(Path("r.xlsx"))
    monkeypatch.setattr(outputs, "find_spec", lambda _: None)
    with pytest.raises(ScriptError, match=r"needs? pyarrow, which is not installed; run .*parquet"):
        outputs.format_of(Path("r.parquet"))


def test_a_journal_outlives_a_crash_even_with_a_line_cut_off(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    with pytest.raises(ZeroDivisionError), journal_of(out) as journal:
        journal.add(ROWS[0])
        raise ZeroDivisionError
    (part,) = tmp_path.iterdir()
    part.write_text(part.read_text() + '{"file": "cut')

    with journal_of(out) as journal:
        journal.add(ROWS[1])
        assert journal.rows() == ROWS
        with pytest.raises(ScriptError, match="Another run writes"), journal_of(out):
            pass

    assert list(tmp_path.iterdir()) == []


def test_rows_of_other_pictures_come_first() -> None:
    rows = {name: Row(file=name, model="m") for name in ("b", "other", "a")}

    assert [row.file for row in in_order(rows, ["a", "b", "c"])] == ["other", "a", "b"]
