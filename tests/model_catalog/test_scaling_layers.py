"""Pixels that a model scales itself must not be scaled before."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.models_file import ModelEntry
from model_catalog.scaling_layers import scaling_layers
from model_catalog.spec import SPEC_FILE
from model_catalog.version_checks import scaling_faults
from tests.flask_server.stub_serving import make_spec
from tests.graphs import node, saved_model

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


def test_folder_that_cannot_be_read_has_no_finding(tmp_path: Path) -> None:
    assert list(scaling_faults(ModelEntry(name="m", base_path=tmp_path / "none"))) == []
