"""Make a live model of a version: read its signatures and its spec.

A version that declares too little is asked with a black image.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from flask_server.deadline import Deadline
from flask_server.errors import ServingFault
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.encoding import png_file
from flask_server.serving.live_model import MAX_SCORES_BYTES, LiveModel, has_scores
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.scores import count_scores
from flask_server.serving.signatures import (
    FLOATS,
    HALVES,
    PIXELS,
    USUAL_CALL,
    ForeignCall,
    ScoresOutput,
    TensorInfo,
    check_export,
    image_input,
    is_our_export,
    max_row_bytes,
    outputs_of,
    takes_one_image,
)
from flask_server.serving.top_k import ReturnedClasses, read_top_k, top_k_outputs
from flask_server.serving.upstream import (
    MAX_PREDICT_BYTES,
    CallFormat,
    Metadata,
    Serving,
)
from flask_server.serving.version_spec import (
    PROBED,
    fitting_labels,
    foreign_scores_output,
    spec_of_export,
    spec_of_foreign,
    spec_of_task,
    task_output,
)
from model_catalog.folders import version_folders
from model_catalog.installation import export_command
from model_catalog.model_entry import ModelEntry
from model_catalog.spec import (
    SCORE_TASKS,
    ModelSpec,
)
from model_catalog.top_k import TopK
from model_catalog.version_checks import random_text

#: A PNG file of 8 x 8 black pixels.
BLACK_PNG = png_file(np.zeros((8, 8, 3), np.uint8))

_EXPORT_AGAIN = f"{export_command()}, given the original Keras file, writes a version without them"

_ONLY_OUTPUT = ScoresOutput(name=None, classes=None)


def read_live_model(
    entry: ModelEntry, version: int, serving: Serving, batcher: RequestBatcher, deadline: Deadline
) -> LiveModel:
    """Read signatures and spec of the version; raise ServingError if they do not fit."""
    metadata = serving.metadata(entry.name, version, deadline)
    live = _Reader(entry, version, serving, metadata, deadline).live_model(batcher)
    return replace(live, notes=_notes(entry, version))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes the live model of a version whose signatures are known."""

    entry: ModelEntry
    version: int
    serving: Serving
    metadata: Metadata
    deadline: Deadline

    def live_model(self, batcher: RequestBatcher) -> LiveModel:
        """Return the live model; only our exports are batched.

        In a foreign graph, the scores of one image may depend on the others in its batch.
        """
        signatures = self.metadata.signatures
        if is_our_export(signatures):
            return self._export(batcher)
        if self.entry.task not in SCORE_TASKS:
            spec = spec_of_task(self.entry, signatures)
            return self._of_spec(spec, task_output(self.entry, signatures))
        top_k = top_k_outputs(signatures, self.entry)
        return self._classifier() if top_k is None else self._top_k_model(top_k)

    def _export(self, batcher: RequestBatcher) -> LiveModel:
        name, signatures = self.entry.name, self.metadata.signatures
        rows = self.serving.describe(name, self.version, signatures, self.deadline)
        spec = spec_of_export(name, rows)
        if spec.task in SCORE_TASKS:
            check_export(signatures, spec.output.classes)
        return self._of_spec(spec, batcher=batcher)

    def _classifier(self) -> LiveModel:
        """Return a classifier that is no export of ours."""
        entry, signatures = self.entry, self.metadata.signatures
        output = foreign_scores_output(entry, signatures)
        spec = spec_of_foreign(entry, signatures, fitting_labels(entry, output.classes))
        live = self._of_spec(spec, output)
        if output.dtype in HALVES:
            _black_rows(live, self.deadline)  # not every server can write such outputs
        scores = _probed_scores(live, self.deadline) if output.classes is None else None
        if scores is None:
            return live
        spec = spec_of_foreign(entry, signatures, fitting_labels(entry, scores, PROBED))
        return self._of_spec(spec, output)

    def _top_k_model(self, top_k: TopK) -> LiveModel:
        """Return a model that tells its classes; a black image tells how many, if need be."""
        entry, signatures = self.entry, self.metadata.signatures
        spec = spec_of_foreign(entry, signatures, entry.labels or (), top_k.count or 1)
        tensors = {tensor.name: tensor for tensor in outputs_of(signatures, entry.signature)}
        output = ScoresOutput(top_k.scores, None, tensors[top_k.scores].dtype)
        live = self._of_spec(spec, output, top_k)
        if top_k.count is not None and output.dtype not in HALVES:
            return live
        # Not every server can write halves, which this call shows as well.
        count = len(_black_classes(live, top_k, self.deadline).classes)
        spec = replace(spec, output=replace(spec.output, top_k=count))
        return replace(live, spec=spec, spec_json=_json(spec.to_dict()))

    def _of_spec(
        self,
        spec: ModelSpec,
        output: ScoresOutput = _ONLY_OUTPUT,
        top_k: TopK | None = None,
        batcher: RequestBatcher | None = None,
    ) -> LiveModel:
        """Return the live model with this spec, without notes."""
        signatures = self.metadata.signatures
        ours = is_our_export(signatures)
        call = USUAL_CALL if ours else ForeignCall.of(self.entry)
        every_output = outputs_of(signatures, PIXELS if ours else call.signature)
        outputs = _needed(every_output, spec, top_k)
        classes = spec.output.classes if has_scores(spec, top_k) else None
        others = outputs if classes is None else ()
        format_ = CallFormat(signatures, spec.input, call, output.name, others)
        tensor = image_input(signatures, call)
        return LiveModel(
            name=self.entry.name,
            version=self.version,
            spec=spec,
            codec=self.serving.codec(self.entry.name, self.version, format_),
            tensor=tensor,
            outputs_of_signature=outputs,
            output=output.name,
            one_by_one=not ours and takes_one_image(signatures, call),
            divisor=output.divisor(spec.output.activation),
            # Over REST, Serving sends all outputs, also those that the task does not need.
            row_bytes=MAX_SCORES_BYTES
            if spec.boxes is not None and not ours
            else max_row_bytes(every_output, output.name, classes),
            serving=self.serving,
            top_k=top_k,
            batcher=batcher,
            engine=self.metadata.engine,
            spec_json=_json(spec.to_dict()),
            assumes_scale=not ours and self.entry.assumes_scale and tensor.dtype in FLOATS,
        )


def _black_classes(live: LiveModel, top_k: TopK, deadline: Deadline) -> ReturnedClasses:
    if live.codec.encode_files is not None:
        (outputs,) = live.file_outputs([BLACK_PNG], deadline)
    else:
        (outputs,) = live.outputs([_black_image(live)], deadline)
    return read_top_k(outputs, top_k)


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
