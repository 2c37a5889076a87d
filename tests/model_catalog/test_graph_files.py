"""The description of a graph file, written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.graph_files import (
    DESCRIPTION,
    GraphFile,
    GraphFileError,
    Quantization,
    graph_file_of,
    read_graph_file,
)
from model_catalog.installation import export_command

GRAPH = GraphFile(
    file="model.tflite",
    input="image",
    shape=(8, 9, 3),
    output="scores",
    takes_batches=False,
    input_quantization=Quantization(dtype="int8", scale=0.5, zero_point=-3),
)


def test_json_has_all_of_it() -> None:
    assert GraphFile.from_json(GRAPH.to_json()) == GRAPH


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"model.tflite"', '"../other.tflite"'),
        ('"shape"', '"size"'),
        ('"shape"', '"color": 1, "shape"'),
        ("0.5", "-0.5"),
        ("0.5", '"0.5"'),
        ("-3", "0.25"),
        ('"int8"', '"int4"'),
        ("{", "["),
        ("8", "Infinity"),
        ("8", "[" * 5_000),
    ],
)
def test_another_text_is_told(before: str, after: str) -> None:
    with pytest.raises(GraphFileError):
        GraphFile.from_json(GRAPH.to_json().replace(before, after, 1))


def test_a_saved_model_takes_precedence(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").touch()
    assert graph_file_of(tmp_path) == tmp_path / "model.tflite"

    (tmp_path / "saved_model.pb").touch()

    assert graph_file_of(tmp_path) is None
    assert read_graph_file(tmp_path) is None


def test_a_file_without_description_is_told(tmp_path: Path) -> None:
    (tmp_path / "frozen_graph.pb").touch()

    with pytest.raises(GraphFileError, match=f"lacks its description, {DESCRIPTION}") as error:
        read_graph_file(tmp_path)

    assert f"{export_command()} --model FILE" in str(error.value)
