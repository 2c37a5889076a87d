"""Signatures are read from the file itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_server.engines.protocol import TensorInfo
from model_server.engines.saved_signatures import read_signatures
from model_server.errors import DataLoss, NotFound
from serving_api.messages import message
from tests.model_server.harness import ROOT

DIGITS = ROOT / "my_digit_classifier" / "1"


def written(folder: Path, graph: bytes) -> Path:
    (folder / "saved_model.pb").write_bytes(graph)
    return folder


def test_an_export_has_its_four_signatures() -> None:
    signatures = read_signatures(DIGITS)

    shown = {
        name: (*signature.inputs, *signature.outputs) for name, signature in signatures.items()
    }
    assert (
        shown.items()
        >= {
            "serving_default": ("input_image", "scores"),
            "pixels": ("pixels", "scores"),
            "image": ("image_bytes", "scores"),
            "describe": ("query", "spec"),
        }.items()
    )
    assert signatures["pixels"].inputs["pixels"] == TensorInfo("pixels_pixels:0", "string", (-1,))
    assert signatures["serving_default"].method_name == "tensorflow/serving/predict"


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"saved_model.pb cannot be read: No such file"):
        read_signatures(tmp_path)


def test_half_a_file_is_data_loss(tmp_path: Path) -> None:
    graph = (DIGITS / "saved_model.pb").read_bytes()

    with pytest.raises(DataLoss, match="Can't parse"):
        read_signatures(written(tmp_path, graph[: len(graph) // 2]))


@pytest.mark.parametrize("tags", [[], ["train"], ["serve", "gpu"]])
def test_graphs_with_other_tags_are_not_for_serving(tmp_path: Path, tags: list[str]) -> None:
    saved = message("SavedModel")()
    saved.meta_graphs.add().meta_info_def.tags.extend(tags)

    with pytest.raises(NotFound, match="no meta graph with the tag serve"):
        read_signatures(written(tmp_path, saved.SerializeToString()))


def test_an_unknown_rank_stays_unknown(tmp_path: Path) -> None:
    saved = message("SavedModel")()
    graph = saved.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    entry = graph.signature_def.add(key="any").value.inputs.add(key="x")
    entry.value.name, entry.value.dtype = "x:0", 99
    entry.value.tensor_shape.unknown_rank = True

    signatures = read_signatures(written(tmp_path, saved.SerializeToString()))

    assert signatures["any"].inputs["x"] == TensorInfo("x:0", "INVALID", None)
