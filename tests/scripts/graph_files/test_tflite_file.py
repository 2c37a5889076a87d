"""What a ``.tflite`` file says about itself: quantisation, scaling and labels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from model_catalog.graph_files import Quantization
from scripts.graph_files.export import described
from scripts.graph_files.tflite_file import Normalization, read_lite_file
from scripts.spec_of_model import SpecOptions
from tests.scripts.graph_files.files import CLASSES, GraphFiles

pytestmark = pytest.mark.tensorflow

LABELS = tuple("abcde")


def with_metadata(file: Path, target: Path, mean: float, deviation: float) -> Path:
    """Write a copy with the metadata that TensorFlow Lite's own tools would add."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(file.read_bytes(), 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(metadata(mean, deviation))
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    build = builder(1024)
    build.Finish(model.Pack(build), file_identifier=b"TFL3")
    target.write_bytes(build.Output())
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("labels.txt", "\n".join(LABELS) + "\n")
    return target


def builder(size: int) -> Any:
    flatbuffers = pytest.importorskip("flatbuffers")

    return flatbuffers.Builder(size)


def metadata(mean: float, deviation: float) -> bytes:
    """Return a table ModelMetadata with one input's normalisation and one output's labels."""
    build = builder(256)
    options = table(build, {0: floats(build, mean), 1: floats(build, deviation)})
    build.StartObject(2)
    build.PrependUint8Slot(0, 1, 0)
    build.PrependUOffsetTRelativeSlot(1, options, 0)
    source = table(build, {4: tables(build, build.EndObject())})
    label_file = table(build, {0: build.CreateString("labels.txt")})
    result = table(build, {6: tables(build, label_file)})
    subgraph = table(build, {2: tables(build, source), 3: tables(build, result)})
    build.Finish(table(build, {3: tables(build, subgraph)}), file_identifier=b"M001")
    return bytes(build.Output())


def table(build: Any, fields: dict[int, int]) -> int:
    build.StartObject(max(fields) + 1)
    for number, offset in fields.items():
        build.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(build.EndObject())


def tables(build: Any, offset: int) -> int:
    build.StartVector(4, 1, 4)
    build.PrependUOffsetTRelative(offset)
    return int(build.EndVector())


def floats(build: Any, number: float) -> int:
    build.StartVector(4, 1, 4)
    build.PrependFloat32(number)
    return int(build.EndVector())


def test_the_quantisation_of_inputs_and_outputs_is_read(folder: Path) -> None:
    found = read_lite_file(folder / "pooled_uint8.tflite").quantization

    assert found["Identity"] == Quantization(dtype="uint8", scale=1 / 256, zero_point=0)
    assert found["image"].scale == pytest.approx(1 / 255, rel=1e-3)


def test_a_file_without_metadata_says_neither_scaling_nor_labels(folder: Path) -> None:
    found = read_lite_file(folder / "pooled.tflite")

    assert (found.quantization, found.normalization, found.labels) == ({}, None, None)


def test_metadata_give_scaling_and_labels(files: GraphFiles, tmp_path: Path) -> None:
    file = with_metadata(files.folder / "pooled.tflite", tmp_path / "told.tflite", 0.0, 255.0)

    found = read_lite_file(file)
    spec, _, assumed = described(file, SpecOptions(), None)

    assert found.normalization == Normalization(0.0, 255.0)
    assert [label for _, label in spec.labels] == list(LABELS)
    assert len(spec.labels) == CLASSES
    assert spec.images.scale == "unit"
    assert [text.split()[0] for text in assumed] == ["--activation"]
