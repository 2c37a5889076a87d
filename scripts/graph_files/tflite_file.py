"""Read what a ``.tflite`` file says about its inputs and outputs, beside their shapes.

That is the quantisation, the scaling and the labels. The last two are in the metadata that
TensorFlow Lite's own tools write: a table inside the file, and label files in a ZIP archive behind
it. Everything else in the file is OpenVINO's to read.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.graph_files import RANGES, Quantization
from model_catalog.labels import parse_labels
from model_catalog.spec import Label
from scripts.graph_files.flatbuffers import DamagedFile, Table

#: Numbers of fields in TensorFlow Lite's schema, by table.
_MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_METADATA = 2, 4, 6
_SUBGRAPH_TENSORS = 0
_TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION = 1, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO = 2, 3
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0
#: Numbers of fields in the schema of the metadata.
_ABOUT_SUBGRAPHS = 3
_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS = 2, 3
_TENSOR_STEPS, _TENSOR_FILES = 4, 6
_FILE_NAME = 0
_STEP_KIND, _STEP_OPTIONS = 0, 1
_NORMALIZATION = 1
_NORMALIZATION_MEAN, _NORMALIZATION_DEVIATION = 0, 1

_ABOUT = "TFLITE_METADATA"
#: Numbers of the schema's enum TensorType.
_DTYPES = {3: "uint8", 9: "int8"}


@dataclass(frozen=True, slots=True)
class Normalization:
    """``(pixel - mean) / deviation``, as the metadata says it; equal for all channels."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class LiteFile:
    """What a ``.tflite`` file says about itself."""

    quantization: dict[str, Quantization]
    """By the name of the tensor."""

    normalization: Normalization | None = None
    labels: tuple[Label, ...] | None = None


def read_lite_file(path: Path) -> LiteFile:
    """Read a ``.tflite`` file, or raise DamagedFile."""
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise DamagedFile("it does not begin like a .tflite file")
    model = Table.root(data)
    about = _metadata(model)
    subgraph = next(iter(about.tables(_ABOUT_SUBGRAPHS)), None) if about else None
    return LiteFile(
        _quantization(model),
        _normalization(subgraph) if subgraph else None,
        _labels(path, subgraph) if subgraph else None,
    )


def _quantization(model: Table) -> dict[str, Quantization]:
    found = {}
    for tensor in model.tables(_MODEL_SUBGRAPHS)[0].tables(_SUBGRAPH_TENSORS):
        dtype = _DTYPES.get(tensor.number(_TENSOR_TYPE, "b"))
        table = tensor.table(_TENSOR_QUANTIZATION)
        scales = table.numbers(_QUANTIZATION_SCALE, "f") if table else ()
        # Weights have one scale per channel; inputs and outputs have one.
        if table and dtype in RANGES and len(scales) == 1 and scales[0] > 0:
            zero = table.numbers(_QUANTIZATION_ZERO, "q")
            found[tensor.text(_TENSOR_NAME)] = Quantization(
                dtype=dtype, scale=float(scales[0]), zero_point=int(zero[0]) if zero else 0
            )
    return found


def _metadata(model: Table) -> Table | None:
    buffers = model.tables(_MODEL_BUFFERS)
    for entry in model.tables(_MODEL_METADATA):
        number = entry.number(_METADATA_BUFFER, "I")
        if entry.text(_METADATA_NAME) == _ABOUT and number < len(buffers):
            return Table.root(buffers[number].bytes(_BUFFER_DATA))
    return None


def _normalization(subgraph: Table) -> Normalization | None:
    for tensor in subgraph.tables(_SUBGRAPH_INPUTS)[:1]:
        for step in tensor.tables(_TENSOR_STEPS):
            options = step.table(_STEP_OPTIONS)
            if step.number(_STEP_KIND, "B") != _NORMALIZATION or options is None:
                continue
            means = set(options.numbers(_NORMALIZATION_MEAN, "f"))
            deviations = set(options.numbers(_NORMALIZATION_DEVIATION, "f"))
            if len(means) == len(deviations) == 1:
                return Normalization(means.pop(), deviations.pop())
    return None


def _labels(path: Path, subgraph: Table) -> tuple[Label, ...] | None:
    """Return the labels that the metadata names for the output, if the archive has them."""
    outputs = subgraph.tables(_SUBGRAPH_OUTPUTS)
    names = [file.text(_FILE_NAME) for tensor in outputs for file in tensor.tables(_TENSOR_FILES)]
    if not names or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return parse_labels(archive.read(names[0]).decode("utf-8-sig").rstrip() + "\n")
    except (KeyError, zipfile.BadZipFile, UnicodeDecodeError, CatalogError):
        return None
