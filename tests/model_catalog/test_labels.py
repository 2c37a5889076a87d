from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from model_catalog.errors import LabelsError
from model_catalog.labels import (
    BACKGROUND,
    imagenet_labels,
    labels_for,
    numbered_labels,
    parse_labels,
    read_labels,
    score_counts,
)
from tests.fuzz.target import limited_cpu


def test_imagenet_is_keras_class_index() -> None:
    labels = imagenet_labels()
    compact = json.dumps([list(pair) for pair in labels], separators=(",", ":"))

    assert len(labels) == 1000
    assert labels[817] == ("n04285008", "sports_car")
    assert (
        hashlib.sha256(compact.encode()).hexdigest()
        == "0e8b0f585860c578fad07489c87f34892c4f98812ec393bc2c3fba739ccfcfc6"
    )


@pytest.mark.parametrize("twin", ["crane", "maillot"])
def test_imagenet_keeps_its_two_pairs_of_twins(twin: str) -> None:
    assert [label for _, label in imagenet_labels()].count(twin) == 2


def test_an_imagenet_model_may_have_the_background_first() -> None:
    labels = imagenet_labels()

    assert score_counts(labels) == (1000, 1001)
    assert labels_for(labels, 1001) == (BACKGROUND, *labels)
    assert labels_for(labels, 1000) == labels


def test_a_model_of_two_classes_may_have_one_score() -> None:
    assert score_counts(numbered_labels(2)) == (2, 1)
    assert labels_for(numbered_labels(2), 1) == numbered_labels(2)


@pytest.mark.parametrize("count", [1, 3, 999, 1000, 1001])
def test_other_labels_fit_as_many_scores(count: int) -> None:
    labels = numbered_labels(count)

    assert score_counts(labels) == (count,)
    assert labels_for(labels, count) == labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        pytest.param("cat\ndog\n", (("0", "cat"), ("1", "dog")), id="labels"),
        pytest.param("cat\ndog", (("0", "cat"), ("1", "dog")), id="no last line break"),
        pytest.param("a\tcat\r\nb\tdog\r\n", (("a", "cat"), ("b", "dog")), id="ids, Windows"),
        pytest.param("hot dog\n", (("0", "hot dog"),), id="a label of two words"),
        pytest.param('{"1":["b","y"],"0":["a","x"]}', (("a", "x"), ("b", "y")), id="class index"),
        pytest.param('[["a","x"]]', (("a", "x"),), id="list of pairs"),
        pytest.param("cat\ndog\n\n \n", (("0", "cat"), ("1", "dog")), id="blank lines at the end"),
        pytest.param(
            "0 cat\n1 hot dog\n", (("0", "cat"), ("1", "hot dog")), id="Teachable Machine"
        ),
        pytest.param("0: cat\n1: hot dog", (("0", "cat"), ("1", "hot dog")), id="colons"),
        pytest.param("0:cat\n1:dog", (("0", "cat"), ("1", "dog")), id="colons without blanks"),
        pytest.param("0,cat\n1,hot, dog", (("0", "cat"), ("1", "hot, dog")), id="commas"),
        pytest.param("0:30\n1:00", (("0", "0:30"), ("1", "1:00")), id="labels of times"),
        pytest.param("0,5 l\n1,5 l", (("0", "0,5 l"), ("1", "1,5 l")), id="labels of amounts"),
        pytest.param(
            "1 cent\n2 cents", (("0", "1 cent"), ("1", "2 cents")), id="labels of numbers"
        ),
        pytest.param('{"dogs":1,"cats":0}', (("0", "cats"), ("1", "dogs")), id="class_indices"),
        pytest.param('{"1":"rose","0":"daisy"}', (("0", "daisy"), ("1", "rose")), id="by number"),
        pytest.param('["cat","dog"]', (("0", "cat"), ("1", "dog")), id="list of labels"),
        pytest.param('{"labels":["cat"],"x":1}', (("0", "cat"),), id="list in an object"),
        pytest.param('{"classes":["cat"]}', (("0", "cat"),), id="classes in an object"),
        pytest.param(
            "item {\n id: 2\n name: 'n2' display_name: 'dog' }\nitem { name: \"ca\\\"t\" id: 1 }",
            (("1", 'ca"t'), ("2", "dog")),
            id="label map",
        ),
    ],
)
def test_every_spelling_of_a_label_file(text: str, labels: tuple[tuple[str, str], ...]) -> None:
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("cat\n\ndog\n", "Line 2 is blank"),
        ('{"0":["a","x"],"2":["b","y"]}', 'Key "1" is missing'),
        ('{"0":["a"]}', r"labels\[0\]: "),
        ("[1]", r"labels\[0\]: "),
        ("{", "Not JSON"),
        ("\n \n", "empty"),
        ('{"cats":0,"dogs":2}', "No label has the index 1; the indices of 2 labels are 0 to 1"),
        ("item { id: 1 }", "Item 1 of the label map has no id or no name"),
        ("item { id: 1 name: 'a' }\nitem { id: 3 name: 'b' }", "of the number 2 is missing"),
        ("item { id: 5 name: 'a' }", "do not go from 0 or 1 on"),
        pytest.param("[" * 100_000, "Not JSON", id="endless nesting"),
    ],
)
def test_bad_label_file_says_where(text: str, said: str) -> None:
    with pytest.raises(LabelsError, match=said):
        parse_labels(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("label\ncat\ndog\n", (("0", "cat"), ("1", "dog"))),
        (
            'index,mid,display_name\n1,/m/2,dog\n0,/m/1,"cat, tabby"\n',
            (("0", "cat, tabby"), ("1", "dog")),
        ),
        ("class_id,name\nn02,dog\nn01,cat\n", (("n02", "dog"), ("n01", "cat"))),
        ("0,cat\n1,dog\n", (("0", "cat"), ("1", "dog"))),
        ("cat,0\ndog,1\n", (("0", "cat"), ("1", "dog"))),
        ("cat\ndog\n\n", (("0", "cat"), ("1", "dog"))),
        ("id\tlabel\n0\tcat\n1\tdog\n", (("0", "cat"), ("1", "dog"))),
    ],
)
def test_tables_have_a_column_of_labels(
    tmp_path: Path, text: str, labels: tuple[tuple[str, str], ...]
) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")

    assert read_labels(tmp_path / "labels.csv") == labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("red,round\nyes,no\n", "columns red, round, and none is known to hold the labels"),
        ("index,label\n0,cat\n1\n", "Row 2 of the table has fewer than 2 columns"),
        ("index,label\n0,cat\n0,dog\n", "do not go from 0 or 1 on once each"),
        pytest.param("label\n" + "a" * 200_000, "Not CSV", id="an endless cell"),
    ],
)
def test_tables_without_clear_labels_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")

    with pytest.raises(LabelsError, match=said):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize("number", ["²", "9" * 5000], ids=["superscript", "endless digits"])
def test_what_is_no_number_is_an_id(tmp_path: Path, number: str) -> None:
    (tmp_path / "labels.csv").write_text(f"index,label\n{number},cat\n", encoding="utf-8")
    (tmp_path / "labels.pbtxt").write_text(f"item {{ id: {number} name: 'cat' }}", "utf-8")

    for name in ("labels.csv", "labels.pbtxt"):
        assert read_labels(tmp_path / name, fill=True) == ((number, "cat"),)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("item" + " " * 300_000, id="blanks after the first word"),
        pytest.param("item { id: 1 name: 'a' } item" + " " * 300_000, id="blanks after a word"),
        pytest.param("item { id: 1 name: 'a' " + "a" * 300_000 + "}", id="a long word"),
    ],
)
def test_reading_a_label_map_takes_time_in_proportion_to_its_size(text: str) -> None:
    """Where the time grows with the square of the size, each of these takes minutes."""
    with limited_cpu():
        assert len(parse_labels(text)) == 1


def test_the_folders_of_the_classes_are_labels_in_the_order_of_keras(tmp_path: Path) -> None:
    for name in ("dog", "Zebra", "cat", ".cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme.txt").touch()

    assert [label for _, label in read_labels(tmp_path)] == ["Zebra", "cat", "dog"]
    with pytest.raises(LabelsError, match="has no folders in it"):
        read_labels(tmp_path / "cat")


@pytest.mark.parametrize(("name", "kind"), [("data.yaml", "YAML"), ("labels.pkl", "a pickle")])
def test_other_kinds_are_refused_by_name(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(LabelsError, match=f"{name} is {kind}, which is not read; allowed are text"):
        read_labels(tmp_path / name)


def test_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(LabelsError, match="labels.txt"):
        read_labels(path)
    with pytest.raises(LabelsError, match="no_such_file"):
        read_labels(tmp_path / "no_such_file")


def test_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("cat\n", encoding="utf-8-sig")

    assert read_labels(path) == (("0", "cat"),)


def test_numbers_stand_in_for_labels() -> None:
    assert numbered_labels(2) == (("0", "0"), ("1", "1"))


def test_the_numbers_that_a_label_map_leaves_out_can_be_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "coco.pbtxt"
    file.write_text("item { id: 4 name: 'd' }\nitem { id: 2 name: 'b' }\n", encoding="utf-8")

    assert read_labels(file, fill=True) == (("1", "1"), ("2", "b"), ("3", "3"), ("4", "d"))
    with pytest.raises(LabelsError):
        read_labels(file)
    file.write_text("item { id: 2 name: 'b' }\nitem { id: 2 name: 'c' }\n", encoding="utf-8")
    with pytest.raises(LabelsError):
        read_labels(file, fill=True)
