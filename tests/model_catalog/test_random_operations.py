"""Random operations are those that the outputs of the signature need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_catalog.model_entry import ModelEntry
from model_catalog.random_operations import random_operations
from model_catalog.version_checks import (
    faults_of_genuine_server,
    random_faults,
    random_text,
    served_versions,
)
from model_catalog.wire import DamagedGraph
from tests.graphs import node, random_saved_model, saved_model

RANDOM = node("r", "RandomUniform")
CALL = node("call", "StatefulPartitionedCall", calls=("f",))


def found(library: dict[str, list[Any]], nodes: list[Any]) -> list[str]:
    return random_operations(saved_model(library, nodes), "serving_default")


def test_an_operation_that_the_output_needs_is_found() -> None:
    assert found({}, [RANDOM, node("call", "Identity", "r")]) == ["RandomUniform"]
    assert found({}, [node("call", "Multinomial")]) == ["Multinomial"]


def test_functions_are_followed() -> None:
    library = {
        "f": [node("x", "While", calls=("g",)), node("y", "Identity", "x:output:0")],
        "g": [node("y", "Case", calls=("h", "i"))],
        "h": [node("y", "Identity", "argument")],
        "i": [node("n", "StatelessRandomNormalV2"), node("y", "Identity", "n:output:0")],
    }

    assert found(library, [CALL]) == ["StatelessRandomNormalV2"]


def test_a_function_called_as_an_operation_is_followed() -> None:
    assert found({"f": [RANDOM]}, [node("call", "f")]) == ["RandomUniform"]


def test_a_function_that_calls_itself_ends() -> None:
    library = {"f": [RANDOM, node("y", "PartitionedCall", "r:output:0", calls=("f",))]}

    assert found(library, [CALL]) == ["RandomUniform"]


@pytest.mark.parametrize(
    ("library", "nodes"),
    [
        pytest.param({"f": [node("y", "Identity")]}, [CALL, RANDOM], id="beside the output"),
        pytest.param({"f": [RANDOM, node("y", "Identity", "x")]}, [CALL], id="beside the result"),
        pytest.param({"f": [node("y", "Abs")], "g": [RANDOM]}, [CALL], id="another function"),
        pytest.param({}, [node("call", "Identity", "r")], id="no node of that name"),
    ],
)
def test_what_the_output_does_not_need_does_not_count(
    library: dict[str, list[Any]], nodes: list[Any]
) -> None:
    assert found(library, nodes) == []


def test_another_signature_has_none() -> None:
    assert random_operations(random_saved_model(), "pixels") == []


def test_a_torn_graph_is_an_error() -> None:
    with pytest.raises(DamagedGraph):
        random_operations(random_saved_model()[:-1], "serving_default")


# What is told of versions


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(random_saved_model())
    return ModelEntry(name="m", base_path=tmp_path)


def test_the_served_version_is_named_with_the_way_out(entry: ModelEntry) -> None:
    (fault,) = random_faults(entry)

    assert fault.text.startswith("version 2 answers the same image differently each time: its ")
    assert "reaches random operations (StatelessRandomUniformV2)" in fault.text
    assert f"--model FILE --base-path {entry.base_path}, with the original Keras file" in fault.fix
    assert not fault.is_error


@pytest.mark.parametrize(("versions", "served"), [("latest", {2}), ("all", {1, 2}), ((1,), {1})])
def test_versions_are_those_of_the_models_file(
    entry: ModelEntry, versions: str | tuple[int, ...], served: set[int]
) -> None:
    chosen = ModelEntry(name="m", base_path=entry.base_path, versions=versions)

    assert set(served_versions(chosen)) == served
    assert len(list(random_faults(chosen))) == len(served)


def test_a_version_that_cannot_be_read_has_no_finding(entry: ModelEntry, tmp_path: Path) -> None:
    (tmp_path / "2" / "saved_model.pb").write_bytes(random_saved_model()[:-1])
    nowhere = ModelEntry(name="m", base_path=tmp_path / "nowhere")

    assert list(random_faults(entry)) == list(random_faults(nowhere)) == []
    assert random_text(tmp_path / "3", "serving_default") is None


def test_tensorflow_serving_cannot_load_a_graph_file(entry: ModelEntry) -> None:
    (entry.base_path / "3").mkdir()
    (entry.base_path / "3" / "model.tflite").touch()

    (fault,) = faults_of_genuine_server(entry)

    assert "3/model.tflite is no SavedModel, so TensorFlow Serving cannot load it" in fault.text
    assert "--serving embedded" in fault.fix
