"""One available version of a model: its spec, and the predict call for its scores.

Our exports carry their spec. For other SavedModels the spec is built from the signature and the
models file. Labels and scores always come from the same version.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from flask_server.deadline import Deadline
from flask_server.errors import ServingError, ServingFault
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.scores import Scores, count_scores, read_scores
from flask_server.serving.signatures import (
    HALVES,
    ForeignCall,
    ScoresOutput,
    Signatures,
    check_export,
    declared_input,
    image_input,
    is_our_export,
    max_row_bytes,
    scores_output,
    takes_one_image,
)
from flask_server.serving.upstream import MAX_PREDICT_BYTES, Codec, EngineInfo, Metadata, Serving
from model_catalog.errors import SpecError
from model_catalog.folders import version_folders
from model_catalog.labels import labels_for, numbered_labels, score_counts
from model_catalog.models_file import ModelEntry
from model_catalog.spec import Label, ModelSpec, OutputSpec, input_from_dict
from model_catalog.version_checks import random_text

#: Bytes of a predict response that are no scores: names, brackets and white space.
FRAME_BYTES = 64 * 1024
#: Maximum bytes of the response to any predict call, whatever its model declares.
MAX_SCORES_BYTES = 64 * 1024 * 1024

_EXPORT_AGAIN = (
    "scripts/export_saved_model.py, given the original Keras file, writes a version without them"
)

_ONLY_OUTPUT = ScoresOutput(name=None, classes=None)

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

    one_by_one: bool
    """Whether the graph takes exactly one image per call."""

    divisor: float
    """What the numbers of the output are divided by."""

    row_bytes: int
    """Maximum bytes of the response to a predict call, per image."""

    serving: Serving

    batcher: RequestBatcher | None
    """Batches concurrent requests; None if batching could change the scores."""

    engine: EngineInfo

    spec_json: bytes
    """The spec as JSON, written once: it may have many thousand labels."""

    notes: tuple[str, ...] = ()
    """Sentences about the version for those who run it; not part of every response."""

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
            return self._predict(images, deadline)
        return self.batcher.predict(self.version, images, self._predict, deadline)

    def scores_in_own_call(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        """Return the scores of each image, in a call that is not shared."""
        return self._predict(images, deadline)

    def _predict(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        size = 1 if self.one_by_one else len(images)
        calls = [images[start : start + size] for start in range(0, len(images), size)]
        return [row for call in calls for row in self._call(call, deadline)]

    def _call(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        max_bytes = min(FRAME_BYTES + len(images) * self.row_bytes, MAX_SCORES_BYTES)
        return read_scores(
            self.rows(images, deadline, max_bytes),
            count=len(images),
            output=self.spec.output,
            divisor=self.divisor,
        )

    def rows(self, images: Sequence[Pixels], deadline: Deadline, max_bytes: int) -> object:
        """Return what Serving answers for the images, a row for each, unchecked."""
        body = self.codec.encode(images)
        return self.codec.rows(
            self.serving.predict(self.name, self.version, body, deadline, max_bytes)
        )


def read_live_model(
    entry: ModelEntry, version: int, serving: Serving, batcher: RequestBatcher, deadline: Deadline
) -> LiveModel:
    """Read signatures and spec of the version; raise ServingError if they do not fit."""
    metadata = serving.metadata(entry.name, version, deadline)
    signatures = metadata.signatures
    if is_our_export(signatures):
        rows = serving.describe(entry.name, version, signatures, deadline)
        spec = _spec_of_export(entry.name, rows)
        check_export(signatures, spec.output.classes)
        return _live_model(entry, version, serving, metadata, spec, batcher=batcher)
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


def _live_model(
    entry: ModelEntry,
    version: int,
    serving: Serving,
    metadata: Metadata,
    spec: ModelSpec,
    *,
    output: ScoresOutput = _ONLY_OUTPUT,
    batcher: RequestBatcher | None = None,
) -> LiveModel:
    signatures = metadata.signatures
    ours, call = is_our_export(signatures), ForeignCall.of(entry)
    return LiveModel(
        name=entry.name,
        version=version,
        spec=spec,
        codec=serving.codec(entry.name, version, signatures, spec.input, call, output.name),
        one_by_one=not ours and takes_one_image(signatures, call),
        divisor=output.divisor(spec.output.activation),
        row_bytes=max_row_bytes(signatures, output.name, spec.output.classes, call.signature),
        serving=serving,
        batcher=batcher,
        engine=metadata.engine,
        spec_json=_json(spec.to_dict()),
        notes=_notes(entry, version),
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
    spec = live.spec.input
    black = np.zeros((spec.height, spec.width, spec.channels), np.uint8)
    return live.rows([black], deadline, MAX_PREDICT_BYTES)


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
    entry: ModelEntry, signatures: Signatures, labels: tuple[Label, ...] | None
) -> ModelSpec:
    """Return the spec; the models file overrules the signature."""
    tensor = image_input(signatures, ForeignCall.of(entry))
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
    try:
        spec = ModelSpec(
            name=entry.name,
            input=input_from_dict(fields),
            output=OutputSpec(classes=len(labels), activation=entry.activation),
            labels=labels,
            task=entry.task,
        )
    except SpecError as error:
        raise ServingError(f"The spec of model {entry.name} is invalid: {error}") from error
    return spec


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
