"""Write a ``.tflite`` or frozen ``.pb`` file as the next version of a served model.

The version folder holds a copy of the file, the model spec and the description of the graph. The
embedded model server runs it with OpenVINO; TensorFlow Serving cannot.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_catalog.graph_files import DESCRIPTION, FILES, RANGES, GraphFile, Quantization
from model_catalog.installation import install_command
from model_catalog.scaling import SCALINGS
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts import activation
from scripts.base_paths import require_same_model
from scripts.errors import ScriptError
from scripts.graph_files import spec_of_graph
from scripts.graph_files.flatbuffers import DamagedFile
from scripts.graph_files.openvino_graph import OpenVINOGraph, Tensor
from scripts.graph_files.tflite_file import LiteFile, read_lite_file
from scripts.keras_models import ModelProperty
from scripts.spec_file import write_spec
from scripts.spec_of_model import SpecOptions
from scripts.version_folders import new_version

_IMAGES = 3
_NO_LITE_FILE = LiteFile({})


def export_graph_file(
    path: Path, base_path: Path, options: SpecOptions, *, output: str | None, replace: bool
) -> Path:
    """Export a graph file, and print the assumptions and the folder of the new version.

    Without ``replace``, a version that differs from the one before in labels or input is refused.
    """
    spec, graph, assumed = described(path, options, output)
    if assumed:
        print(f"assumed: {'; '.join(assumed)}")
    if not replace:
        require_same_model(base_path, spec)
    with new_version(base_path) as draft:
        shutil.copyfile(path, draft.folder / graph.file)
        write_spec(draft.folder, spec)
        (draft.folder / DESCRIPTION).write_text(graph.to_json() + "\n", encoding="utf-8")
    print(f"exported {spec.name} to {draft.published}")
    print(
        "note: the embedded model server runs it with OpenVINO; TensorFlow Serving cannot load it"
    )
    return draft.published


def described(
    path: Path, options: SpecOptions, wanted_output: str | None
) -> tuple[ModelSpec, GraphFile, list[str]]:
    """Return spec and description of a graph file and the assumptions, or raise ScriptError."""
    lite = _lite_file(path)
    opened = _opened(path)
    source = spec_of_graph.image_input(opened.inputs)
    result = spec_of_graph.scores_output(opened.outputs, wanted_output)
    input_spec, shape, assumed = spec_of_graph.input_of(source, options, lite)
    quantization = spec_of_graph.quantization_of(source, lite)
    noise = _noise(input_spec, shape, source)
    rows = opened.run(source.name, result.name, noise, at_once=False)
    graph = GraphFile(
        file=FILES[path.suffix.lower()],
        input=source.name,
        shape=shape,
        output=result.name,
        takes_batches=opened.takes_batches(source.name, result.name, noise),
        input_quantization=quantization,
        output_quantization=_output_quantization(result, lite),
    )
    found = _activation(options, graph, rows)
    labels, assumed_labels = spec_of_graph.labels_of(options, lite, rows.shape[1])
    if found.assumption is not None:
        assumed.append(f"--activation {found.value} ({found.assumption})")
    spec = ModelSpec(
        name=options.name or path.stem,
        trained=not options.untrained,
        input=input_spec,
        output=_output(found.value, rows.shape[1], len(labels)),
        labels=labels,
        source=options.source or path.name,
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return spec, graph, assumed + assumed_labels


def _opened(path: Path) -> OpenVINOGraph:
    try:
        return OpenVINOGraph(path)
    except ImportError as error:
        raise ScriptError(
            f"{path.suffix} files are read and served by OpenVINO, which is not installed; run "
            f"{install_command('openvino')}"
        ) from error


def _lite_file(path: Path) -> LiteFile:
    if not path.is_file():
        raise ScriptError(f"There is no file {path}.")
    if path.name == "saved_model.pb":
        raise ScriptError(
            f"{path} is part of a SavedModel, which is served as it is: put the folder around it "
            "into another one under the name 1, and name that one as base_path in models.toml."
        )
    if path.suffix.lower() != ".tflite":
        return _NO_LITE_FILE
    try:
        return read_lite_file(path)
    except DamagedFile as error:
        raise ScriptError(f"{path} is no .tflite file: {error}.") from error


def _output_quantization(result: Tensor, lite: LiteFile) -> Quantization | None:
    found = spec_of_graph.quantization_of(result, lite)
    if found is not None and result.name not in lite.quantization:
        raise ScriptError(
            f"The graph's output {result} has integers, and the file does not say what they are."
        )
    return found


def _noise(spec: InputSpec, shape: tuple[int, ...], source: Tensor) -> NDArray[np.generic]:
    """Return images of random pixels as the graph takes them."""
    rng = np.random.default_rng(0)
    if source.dtype in RANGES:
        least, most = RANGES[source.dtype]
        return rng.integers(least, most + 1, (_IMAGES, *shape), source.dtype)
    scaling = SCALINGS[spec.scale]
    # The scaling of the first channel is near enough for noise.
    levels = rng.uniform(0, 255, (_IMAGES, *shape)) / scaling.divisor
    return ((levels - scaling.mean[0]) / scaling.deviation[0]).astype(np.float32)


def _activation(options: SpecOptions, graph: GraphFile, rows: NDArray[np.float32]) -> ModelProperty:
    if options.activation is not None:
        return ModelProperty(options.activation)
    steps = graph.output_quantization
    scores = rows if steps is None else (rows - steps.zero_point) * steps.scale
    measured = activation.of_scores(scores, 0.0 if steps is None else steps.scale)
    if measured is None:
        return ModelProperty("none", "the scores of noise are no probabilities")
    return ModelProperty(measured, "the scores of noise are such probabilities")


def _output(activation_of_scores: str, scores: int, labels: int) -> OutputSpec:
    """Return the output that the served version has; a single score becomes those of two labels."""
    if scores < labels and activation_of_scores == "sigmoid":
        activation_of_scores = "softmax"
    return OutputSpec(classes=labels, activation=activation_of_scores)
