"""One available version of a model: its spec, and the predict call for its outputs.

Our exports carry their spec. For other SavedModels the spec is built from the signature and the
models file. Labels and scores always come from the same version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import ServingError, ServingFault, UnsupportedTask
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.encoding import png_file
from flask_server.serving.outputs import Outputs
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.scores import Scores, count_scores, read_scores
from flask_server.serving.signatures import (
    HALVES,
    PIXELS,
    STRING,
    USUAL_CALL,
    ForeignCall,
    ScoresOutput,
    Signatures,
    TensorInfo,
    check_export,
    declared_input,
    image_input,
    is_our_export,
    max_row_bytes,
    outputs_of,
    scores_output,
    takes_one_image,
)
from flask_server.serving.top_k import ReturnedClasses, read_top_k, top_k_outputs
from flask_server.serving.upstream import (
    MAX_PREDICT_BYTES,
    CallFormat,
    Codec,
    EngineInfo,
    Metadata,
    Serving,
)
from model_catalog.boxes import BoxesSpec, declared_boxes
from model_catalog.errors import SpecError
from model_catalog.folders import version_folders
from model_catalog.labels import labels_for, numbered_labels, score_counts
from model_catalog.models_file import ModelEntry
from model_catalog.spec import (
    SCORE_TASKS,
    TENSOR_TASKS,
    Label,
    ModelSpec,
    OutputSpec,
    input_from_dict,
)
from model_catalog.top_k import TopK
from model_catalog.version_checks import random_text

Item = TypeVar("Item")

#: A PNG file of 8 x 8 black pixels.
BLACK_PNG = png_file(np.zeros((8, 8, 3), np.uint8))

#: Bytes of a predict response that are no scores: names, brackets and white space.
FRAME_BYTES = 64 * 1024
#: Maximum bytes of the response to any predict call, whatever its model declares.
MAX_SCORES_BYTES = 64 * 1024 * 1024

_EXPORT_AGAIN = (
    "scripts/export_saved_model.py, given the original Keras file, writes a version without them"
)

_ONLY_OUTPUT = ScoresOutput(name=None, classes=None)

#: The name under which ``LiveModel.outputs`` returns the scores of a classifier.
SCORES = "scores"
#: Dimensions of the output of a segmentation, [N, height, width, classes].
_MAP_RANK = 4

#: Where the number of scores comes from.
_DECLARED = "whose signature declares"
_PROBED = "which returns for a black image"


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One available version of a model with everything that a predict call needs."""

    name: str
    version: int
    spec: ModelSpec
    codec: Codec

    tensor: TensorInfo
    """The input that takes tensors."""

    outputs_of_signature: tuple[TensorInfo, ...]
    """The outputs of the signature that takes images; the one that takes tensors has the same."""

    output: str | None
    """Name of the output with the scores; None if the signature has only one output. Of another
    task, the output that the models file names."""

    one_by_one: bool
    """Whether the graph takes exactly one image per call."""

    divisor: float
    """What the numbers of the output are divided by."""

    row_bytes: int
    """Maximum bytes of the response to a predict call, per image."""

    serving: Serving

    top_k: TopK | None
    """The outputs of a graph that returns its best classes itself; None for any other."""

    batcher: RequestBatcher | None
    """Batches concurrent requests; None if batching could change the scores."""

    engine: EngineInfo

    spec_json: bytes
    """The spec as JSON, written once: it may have many thousand labels."""

    notes: tuple[str, ...] = ()
    """Sentences about the version for those who run it; not part of every response."""

    split_label: str | None = None
    """The version label by which ``Traffic`` has the version; None for a version that was not
    chosen by a label of ``split`` or ``shadow``."""

    @property
    def takes_files(self) -> bool:
        """Whether the model gets image files as they are."""
        return self.codec.encode_files is not None

    @property
    def reads_scores(self) -> bool:
        """Whether the outputs are a row of scores, one per class."""
        return _reads_scores(self.spec, self.top_k)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that accompany every response of this model."""
        if self.spec.trained:
            return ()
        return (
            f"Model {self.name} has untrained random weights: its labels and scores mean nothing.",
        )

    def scores(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        """Return the scores of each image, in a call that may be shared with other requests."""
        if self.batcher is None:
            return self.scores_in_own_call(images, deadline)
        return self.batcher.predict(self.version, images, self.scores_in_own_call, deadline)

    def scores_in_own_call(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        """Return the scores of each image, in a call that is not shared."""
        return self._read_scores(self._calls(images, self._encode, deadline))

    def outputs(self, images: Sequence[Pixels], deadline: Deadline) -> list[Outputs]:
        """Return the outputs for each image; of a classifier, its scores as output ``SCORES``."""
        if self.reads_scores:
            return [{SCORES: row} for row in self.scores(images, deadline)]
        return self._read_outputs(self._calls(images, self._encode, deadline))

    def tensor_outputs(
        self, tensors: Sequence[NDArray[np.generic]], deadline: Deadline
    ) -> list[Outputs]:
        """Return the outputs for each tensor of the shape and dtype of the model's input."""
        return self._outputs(self._calls(tensors, self.codec.encode_tensors, deadline))

    def file_outputs(self, files: Sequence[bytes], deadline: Deadline) -> list[Outputs]:
        """Return the outputs for each image file, of a model that ``takes_files``."""
        if self.codec.encode_files is None:
            raise UnsupportedTask(f"Model {self.name} takes no image files.")
        return self._outputs(self._calls(files, self.codec.encode_files, deadline))

    def _outputs(self, calls: Sequence[tuple[int, object]]) -> list[Outputs]:
        if self.reads_scores:
            return [{SCORES: row} for row in self._read_scores(calls)]
        return self._read_outputs(calls)

    def rows(self, images: Sequence[Pixels], deadline: Deadline, max_bytes: int) -> object:
        """Return what Serving answers for the images, a row for each, unchecked."""
        return self.answer(self._encode(images), deadline, max_bytes)

    def answer(self, body: bytes, deadline: Deadline, max_bytes: int) -> object:
        """Return what Serving answers to a body, a row for each image, unchecked."""
        answer = self.serving.predict(self.name, self.version, body, deadline, max_bytes)
        return self.codec.rows(answer)

    def _encode(self, images: Sequence[Pixels]) -> bytes:
        if self.codec.encode is None:
            raise UnsupportedTask(
                f"Model {self.name} (task {self.spec.task}) takes tensors only: its description has"
                " no input for images."
            )
        return self.codec.encode(images)

    def _calls(
        self,
        items: Sequence[Item],
        encode: Callable[[Sequence[Item]], bytes],
        deadline: Deadline,
    ) -> list[tuple[int, object]]:
        """Return the number of items of each call, and what Serving answers for them."""
        size = 1 if self.one_by_one else len(items)
        calls = [items[start : start + size] for start in range(0, len(items), size)]
        return [(len(call), self._call(encode(call), len(call), deadline)) for call in calls]

    def _call(self, body: bytes, count: int, deadline: Deadline) -> object:
        max_bytes = min(FRAME_BYTES + count * self.row_bytes, MAX_SCORES_BYTES)
        return self.serving.predict(self.name, self.version, body, deadline, max_bytes)

    def _read_scores(self, calls: Iterable[tuple[int, object]]) -> list[Scores]:
        read = partial(
            read_scores,
            output=self.spec.output,
            divisor=self.divisor,
        )
        return [row for n, answer in calls for row in read(self.codec.rows(answer), count=n)]

    def _read_outputs(self, calls: Iterable[tuple[int, object]]) -> list[Outputs]:
        return [row for n, answer in calls for row in self.codec.outputs(answer, count=n)]


def read_live_model(
    entry: ModelEntry, version: int, serving: Serving, batcher: RequestBatcher, deadline: Deadline
) -> LiveModel:
    """Read signatures and spec of the version; raise ServingError if they do not fit."""
    live = _without_notes(entry, version, serving, batcher, deadline)
    return replace(live, notes=_notes(entry, version))


def _without_notes(
    entry: ModelEntry, version: int, serving: Serving, batcher: RequestBatcher, deadline: Deadline
) -> LiveModel:
    metadata = serving.metadata(entry.name, version, deadline)
    signatures = metadata.signatures
    if is_our_export(signatures):
        rows = serving.describe(entry.name, version, signatures, deadline)
        spec = _spec_of_export(entry.name, rows)
        if spec.task in SCORE_TASKS:
            check_export(signatures, spec.output.classes)
        return _live_model(entry, version, serving, metadata, spec, batcher=batcher)
    if entry.task not in SCORE_TASKS:
        spec, output = _spec_of_task(entry, signatures), _task_output(entry, signatures)
        return _live_model(entry, version, serving, metadata, spec, output=output)
    top_k = top_k_outputs(signatures, entry)
    if top_k is not None:
        return _top_k_model(entry, version, serving, metadata, top_k, deadline)
    output = _scores_output(entry, signatures)
    spec = _spec_of_foreign(entry, signatures, _labels(entry, output.classes))
    # In a foreign graph, the scores of one image may depend on the others in its batch.
    live = _live_model(entry, version, serving, metadata, spec, output=output)
    if output.dtype in HALVES:
        _black_rows(live, deadline)  # not every server can write such outputs
    scores = _probed_scores(live, deadline) if output.classes is None else None
    if scores is None:
        return live
    spec = _spec_of_foreign(entry, signatures, _labels(entry, scores, _PROBED))
    return _live_model(entry, version, serving, metadata, spec, output=output)


def _top_k_model(
    entry: ModelEntry,
    version: int,
    serving: Serving,
    metadata: Metadata,
    top_k: TopK,
    deadline: Deadline,
) -> LiveModel:
    """Return a model that tells its classes itself; a black image tells how many, if need be."""
    signatures = metadata.signatures
    spec = _spec_of_foreign(entry, signatures, entry.labels or (), top_k.count or 1)
    tensors = {tensor.name: tensor for tensor in outputs_of(signatures, entry.signature)}
    output = ScoresOutput(top_k.scores, None, tensors[top_k.scores].dtype)
    live = _live_model(entry, version, serving, metadata, spec, output=output, top_k=top_k)
    if top_k.count is not None and output.dtype not in HALVES:
        return live
    # Not every server can write halves, which this call shows as well.
    count = len(_black_classes(live, top_k, deadline).classes)
    spec = replace(spec, output=replace(spec.output, top_k=count))
    return replace(live, spec=spec, spec_json=_json(spec.to_dict()))


def _black_classes(live: LiveModel, top_k: TopK, deadline: Deadline) -> ReturnedClasses:
    if live.codec.encode_files is not None:
        (outputs,) = live.file_outputs([BLACK_PNG], deadline)
    else:
        (outputs,) = live.outputs([_black_image(live)], deadline)
    return read_top_k(outputs, top_k)


def _reads_scores(spec: ModelSpec, top_k: TopK | None) -> bool:
    return spec.task in SCORE_TASKS and top_k is None


def _live_model(
    entry: ModelEntry,
    version: int,
    serving: Serving,
    metadata: Metadata,
    spec: ModelSpec,
    *,
    output: ScoresOutput = _ONLY_OUTPUT,
    top_k: TopK | None = None,
    batcher: RequestBatcher | None = None,
) -> LiveModel:
    signatures = metadata.signatures
    ours = is_our_export(signatures)
    call = USUAL_CALL if ours else ForeignCall.of(entry)
    every_output = outputs_of(signatures, PIXELS if ours else call.signature)
    outputs = _needed(every_output, spec, top_k)
    reads_scores = _reads_scores(spec, top_k)
    return LiveModel(
        name=entry.name,
        version=version,
        spec=spec,
        codec=serving.codec(
            entry.name,
            version,
            CallFormat(signatures, spec.input, call, output.name, () if reads_scores else outputs),
        ),
        tensor=image_input(signatures, call),
        outputs_of_signature=outputs,
        output=output.name,
        one_by_one=not ours and takes_one_image(signatures, call),
        divisor=output.divisor(spec.output.activation),
        # Over REST, Serving sends all outputs, also those that the task does not need.
        row_bytes=MAX_SCORES_BYTES
        if spec.boxes is not None and not ours
        else max_row_bytes(
            every_output, output.name, spec.output.classes if reads_scores else None
        ),
        serving=serving,
        top_k=top_k,
        batcher=batcher,
        engine=metadata.engine,
        spec_json=_json(spec.to_dict()),
    )


def _notes(entry: ModelEntry, version: int) -> tuple[str, ...]:
    """Return what the version's folder says, if the gateway's machine has it."""
    if entry.serving_url is not None:
        return ()
    try:
        folder = version_folders(entry.base_path).get(version)
    except OSError:
        return ()
    found = None if folder is None else random_text(folder, entry.signature)
    if found is None:
        return ()
    return (f"{found[0].upper()}{found[1:]}; {_EXPORT_AGAIN}.",)


def _needed(
    outputs: Sequence[TensorInfo], spec: ModelSpec, top_k: TopK | None
) -> tuple[TensorInfo, ...]:
    """Return the outputs that the task reads; detectors often have large others beside them."""
    boxes = spec.boxes
    if top_k is not None:
        return tuple(tensor for tensor in outputs if tensor.name in (top_k.classes, top_k.scores))
    if boxes is None or boxes.layout != "separate":
        return tuple(outputs)
    names = (boxes.boxes, boxes.scores, boxes.classes, boxes.count)
    return tuple(tensor for tensor in outputs if tensor.name in names)


def _probed_scores(live: LiveModel, deadline: Deadline) -> int | None:
    """Return how many scores the model has for a black image, None if the call fails.

    A model that is slow or refuses black images may answer others.
    """
    try:
        rows = _black_rows(live, deadline)
    except ServingFault:
        return None
    return count_scores(rows)


def _black_rows(live: LiveModel, deadline: Deadline) -> object:
    """Return what Serving answers for a black image, or raise ServingFault."""
    if live.codec.encode_files is not None:
        return live.answer(live.codec.encode_files([BLACK_PNG]), deadline, MAX_PREDICT_BYTES)
    return live.rows([_black_image(live)], deadline, MAX_PREDICT_BYTES)


def _black_image(live: LiveModel) -> Pixels:
    spec = live.spec.images
    return np.zeros((spec.height, spec.width, spec.channels), np.uint8)


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate in a label has no UTF-8
        return json.dumps(value, separators=(",", ":")).encode()


def _spec_of_export(name: str, rows: object) -> ModelSpec:
    """Parse the response of the ``describe`` signature."""
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], str):
        raise ServingError(f"The describe signature of model {name} did not return one string.")
    try:
        return ModelSpec.from_json(rows[0])
    except SpecError as error:
        raise ServingError(
            f"The spec in the SavedModel of model {name} is invalid: {error}"
        ) from error


def _scores_output(entry: ModelEntry, signatures: Signatures) -> ScoresOutput:
    call = ForeignCall.of(entry)
    image_input(signatures, call)  # its faults are told first
    return scores_output(signatures, score_counts(entry.labels) if entry.labels else (), call)


def _spec_of_foreign(
    entry: ModelEntry,
    signatures: Signatures,
    labels: tuple[Label, ...] | None,
    top_k: int | None = None,
) -> ModelSpec:
    """Return the spec; the models file overrules the signature.

    ``top_k`` is the number of classes that the graph returns, if it chooses the best itself.
    """
    tensor = image_input(signatures, ForeignCall.of(entry))
    if labels is not None and takes_files(tensor, entry):
        return _spec(entry, None, labels, top_k=top_k)
    if labels is None or entry.input is None:
        missing = "input" if entry.input is None else "labels"
        raise ServingError(
            f"The SavedModel of model {entry.name} has no spec, and the models file does not set "
            f"its {missing}. Needed are input = {{ scale = … }} and, unless the signature declares "
            "the number of classes, labels."
        )
    fields = declared_input(tensor, entry.input)
    missing = " and ".join(f"input.{side}" for side in ("height", "width") if side not in fields)
    if missing:
        raise ServingError(
            f"The model's input {tensor} does not declare the size of an image; the models file"
            f" needs {missing} for model {entry.name}."
        )
    return _spec(entry, fields, labels, top_k=top_k)


def _spec_of_task(entry: ModelEntry, signatures: Signatures) -> ModelSpec:
    """Return the spec of a model that is no classifier.

    Without ``input`` in the models file, a model that returns tensors or embeddings takes tensors
    only. Labels are not checked against the outputs, whose meaning the task knows.
    """
    tensor = image_input(signatures, ForeignCall.of(entry))
    stated = entry.input or {}
    if entry.task == "detection":
        return _spec_of_detector(entry, signatures, tensor)
    is_open = entry.input is None and entry.task in TENSOR_TASKS
    if is_open or takes_files(tensor, entry):
        return _spec(entry, None, entry.labels or _numbered_classes(entry, signatures))
    fields = declared_input(tensor, stated)
    return _spec(entry, fields, entry.labels or _numbered_classes(entry, signatures))


def takes_files(tensor: TensorInfo, entry: ModelEntry) -> bool:
    """Tell whether an input of strings gets image files as they are: no size says otherwise."""
    return tensor.dtype == STRING and not {"height", "width"} & set(entry.input or {})


def _task_output(entry: ModelEntry, signatures: Signatures) -> ScoresOutput:
    """Return the output that the models file names, if it names one; or raise ServingError."""
    names = [tensor.name for tensor in outputs_of(signatures, entry.signature)]
    if entry.output is not None and entry.output not in names:
        raise ServingError(
            f"The {entry.signature} signature has the outputs {', '.join(names)}; the models file"
            f" names {entry.output}."
        )
    return ScoresOutput(entry.output, None)


def _spec_of_detector(entry: ModelEntry, signatures: Signatures, tensor: TensorInfo) -> ModelSpec:
    """Return the spec of a detector, whose outputs are recognised by name and shape.

    Boxes in pixels count those of an input, whose size has to be known; shares need no size.
    """
    shapes = {tensor.name: tensor.shape for tensor in outputs_of(signatures, entry.signature)}
    try:
        boxes = declared_boxes(shapes, entry.boxes or {})
    except SpecError as error:
        raise ServingError(f"The outputs of model {entry.name} are not known: {error}") from error
    if boxes.is_relative and takes_files(tensor, entry):
        return _spec(entry, None, entry.labels or (), boxes)
    # Detectors keep the aspect ratio; all but those of the YOLO family scale pixels themselves.
    defaults = {"fit": "pad", "scale": "none" if boxes.layout == "separate" else "unit"}
    fields = defaults | declared_input(tensor, entry.input or {})
    return _spec(entry, fields, entry.labels or (), boxes)


def _numbered_classes(entry: ModelEntry, signatures: Signatures) -> tuple[Label, ...]:
    """Return numbers as labels for the classes that a segmentation declares, else none."""
    outputs = outputs_of(signatures, entry.signature)
    shapes = [tensor.shape for tensor in outputs if len(tensor.shape) == _MAP_RANK]
    if entry.task != "segmentation" or not shapes or shapes[0][-1] < 1:
        return ()
    return numbered_labels(max(shapes[0][-1], 2))


def _spec(
    entry: ModelEntry,
    fields: Mapping[str, Any] | None,
    labels: tuple[Label, ...],
    boxes: BoxesSpec | None = None,
    top_k: int | None = None,
) -> ModelSpec:
    try:
        return ModelSpec(
            name=entry.name,
            task=entry.task,
            input=None if fields is None else input_from_dict(fields),
            output=OutputSpec(classes=len(labels), activation=entry.activation, top_k=top_k),
            labels=labels,
            boxes=boxes,
        )
    except SpecError as error:
        raise ServingError(f"The spec of model {entry.name} is invalid: {error}") from error


def _labels(
    entry: ModelEntry, scores: int | None, source: str = _DECLARED
) -> tuple[Label, ...] | None:
    """Return the labels that fit the number of scores, or None if neither is known.

    ``source`` tells where the number comes from.
    """
    if entry.labels is None:
        return None if scores is None else numbered_labels(scores)
    if scores is None:
        return entry.labels
    if scores not in score_counts(entry.labels):
        raise ServingError(_other_labels(entry.name, len(entry.labels), scores, source))
    return labels_for(entry.labels, scores)


def _other_labels(name: str, labels: int, scores: int, source: str) -> str:
    """Return the text that tells how many labels the scores need."""
    listed = "1 label" if labels == 1 else f"{labels} labels"
    declared = "1 score" if scores == 1 else f"{scores} scores"
    text = f"The models file has {listed} for model {name}, {source} {declared}."
    if scores == 1:
        return f"{text} A single score needs its label, or two labels of which it is the second's."
    if scores == labels + 1:
        return f"{text} If the first score is for the background, it needs a label as well."
    return f"{text} Both numbers must be the same."
