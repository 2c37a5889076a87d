"""Pixels that a model scales itself must not be scaled before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_catalog.model_entry import ModelEntry
from model_catalog.scaling_layers import scaling_layers
from model_catalog.spec import SPEC_FILE
from model_catalog.version_checks import scaling_faults
from tests.flask_server.stub_serving import make_spec
from tests.graphs import constant, node, saved_model

RESCALING = saved_model({}, [node("call", "Identity"), node("net/rescaling_1/mul", "Mul")])


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("net/rescaling/Cast/x", ["Rescaling"]),
        ("functional_1_1/normalization_1/truediv", ["Normalization"]),
        ("net/batch_normalization_1/add", []),
        ("net/layer_normalization/mul", []),
        ("net/rescaling_like/mul", []),
        ("normalization/mean", []),
    ],
)
def test_layers_are_known_by_their_operations(name: str, kinds: list[str]) -> None:
    graph = saved_model({}, [node("call", "Identity"), node(name, "Mul")])

    assert scaling_layers(graph) == kinds


@pytest.mark.parametrize(
    ("fields", "is_twice"),
    [({"scale": "unit"}, True), ({"height": 4}, True), ({"scale": "none"}, False), (None, False)],
)
def test_foreign_model_that_is_scaled_twice_is_named(
    tmp_path: Path, fields: dict[str, object] | None, is_twice: bool
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(RESCALING)

    faults = list(scaling_faults(ModelEntry(name="m", base_path=tmp_path, input=fields)))

    assert ["layer Rescaling" in fault.text for fault in faults] == [True] * is_twice
    assert all('scale = "none"' in fault.fix and not fault.is_error for fault in faults)


def test_export_that_is_scaled_twice_is_named(tmp_path: Path) -> None:
    spec_file = tmp_path / "1" / SPEC_FILE
    spec_file.parent.mkdir(parents=True)
    spec_file.write_text(make_spec().to_json())
    (tmp_path / "1" / "saved_model.pb").write_bytes(RESCALING)

    (fault,) = scaling_faults(ModelEntry(name="m", base_path=tmp_path))

    assert fault.fix.endswith("--scale none")


@pytest.mark.parametrize(
    ("name", "number", "dtype", "fields", "found"),
    [
        ("net/prep/div", 255, 1, {"scale": "unit"}, "(RealDiv 255)"),
        ("net/rescaling/truediv", 255, 1, {"scale": "unit"}, "(RealDiv 255)"),
        ("net/rescaling/truediv", 0.5, 1, {"scale": "unit"}, None),
        ("net/prep/div", 255, 1, {"scale": "none"}, None),
        ("net/prep/div", 255, 4, {"scale": "unit"}, None),
        ("net/prep/div", 255, 1, None, None),
    ],
)
def test_scaling_is_known_by_the_numbers_in_the_graph(
    tmp_path: Path,
    name: str,
    number: float,
    dtype: int,
    fields: dict[str, object] | None,
    found: str | None,
) -> None:
    nodes = [node("x", "Placeholder"), constant("c", number), node(name, "RealDiv", "x", "c")]
    nodes += [node("call", "Conv2D", name, "w")]
    (tmp_path / "1").mkdir()
    graph = saved_model({}, nodes, image="x:0", dtype=dtype)
    (tmp_path / "1" / "saved_model.pb").write_bytes(graph)

    faults = list(scaling_faults(ModelEntry(name="m", base_path=tmp_path, input=fields)))

    assert [found in fault.text for fault in faults if found] == [True] * (found is not None)
    assert len(faults) == (found is not None)


@pytest.mark.parametrize(
    ("dtype", "table", "is_told"),
    [
        (1, {"input": {"fit": "pad"}}, True),
        (1, {"input": {"fit": "pad"}, "task": "embedding"}, True),
        (1, {"task": "segmentation"}, True),
        (1, {"input": {"scale": "tf"}}, False),
        (1, {"input": {"fit": "pad"}, "task": "detection"}, False),
        (1, {"task": "embedding"}, False),
        (4, {"input": {"fit": "pad"}}, False),
    ],
)
def test_floats_whose_scale_nothing_states_are_named(
    tmp_path: Path, dtype: int, table: dict[str, Any], is_told: bool
) -> None:
    nodes = [node("x", "Placeholder"), node("call", "Conv2D", "x", "w")]
    (tmp_path / "1").mkdir()
    graph = saved_model({}, nodes, image="x:0", dtype=dtype)
    (tmp_path / "1" / "saved_model.pb").write_bytes(graph)

    faults = list(scaling_faults(ModelEntry(name="m", base_path=tmp_path, **table)))

    told = "models.toml states no scale for them, so pixels are scaled with tf"
    assert [told in fault.text for fault in faults] == [True] * is_told
    assert not any(fault.is_error for fault in faults)


def test_exports_state_their_scale(tmp_path: Path) -> None:
    spec_file = tmp_path / "1" / SPEC_FILE
    spec_file.parent.mkdir(parents=True)
    spec_file.write_text(make_spec().to_json())
    (tmp_path / "1" / "saved_model.pb").write_bytes(saved_model({}, [], image="x:0"))

    assert (
        list(scaling_faults(ModelEntry(name="m", base_path=tmp_path, input={"fit": "pad"}))) == []
    )


def test_detectors_have_no_scale_by_default(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(RESCALING)
    entry = ModelEntry(name="m", base_path=tmp_path, input={"height": 4}, task="detection")

    assert list(scaling_faults(entry)) == []


def test_folder_that_cannot_be_read_has_no_finding(tmp_path: Path) -> None:
    assert list(scaling_faults(ModelEntry(name="m", base_path=tmp_path / "none"))) == []
