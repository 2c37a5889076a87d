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
    ],
)
def test_bad_label_file_says_where(text: str, said: str) -> None:
    with pytest.raises(LabelsError, match=said):
        parse_labels(text)


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
