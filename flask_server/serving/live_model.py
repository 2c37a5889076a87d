"""Describe one available version of a model, and ask it for scores.

What the SavedModel says of itself counts; for one that says nothing the models file and the
signature are put together. Labels and scores always come from the same version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_server.deadline import Deadline
from flask_server.errors import ServingError
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.client import Serving
from flask_server.serving.encoding import Encoder, choose_encoder, describe_request
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.scores import Scores, read_scores
from flask_server.serving.signatures import (
    Signatures,
    declared_picture,
    is_our_export,
    picture_input,
    scores_output,
)
from model_catalog.errors import SpecError
from model_catalog.labels import numbered_labels
from model_catalog.models_file import ModelEntry
from model_catalog.spec import ModelSpec, OutputSpec, input_from_dict


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One available version of a model with everything needed to ask it."""

    name: str
    version: int
    spec: ModelSpec
    encode: Encoder

    output: str | None
    """Which output has the scores; None where the signature has only one."""

    serving: Serving

    batcher: RequestBatcher | None
    """Puts pictures of several requests into one call; None where that may change answers."""

    def scores(self, pictures: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        """Return the scores of each picture, asked for together with what else waits."""
        if self.batcher is None:
            return self._ask(pictures, deadline)
        return self.batcher.predict(self.version, pictures, self._ask, deadline)

    def _ask(self, pictures: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        rows = self.serving.predict(self.name, self.version, self.encode(pictures), deadline)
        classes = self.spec.output.classes
        return read_scores(rows, count=len(pictures), classes=classes, output=self.output)


def read_live_model(
    entry: ModelEntry, version: int, serving: Serving, batcher: RequestBatcher, deadline: Deadline
) -> LiveModel:
    """Ask Serving what the version is, and put together what is needed to ask it for scores."""
    signatures = serving.signatures(entry.name, version, deadline)
    output = None
    ours = is_our_export(signatures)
    if ours:
        rows = serving.predict(entry.name, version, describe_request(), deadline)
        spec = _described(entry.name, rows)
    else:
        output, spec = _configured(entry, signatures)
    encode = choose_encoder(signatures, spec.input)
    # Nobody knows whether the rows of a foreign graph are independent of each other.
    return LiveModel(entry.name, version, spec, encode, output, serving, batcher if ours else None)


def _described(name: str, rows: object) -> ModelSpec:
    """Read the spec that an export of ours carries."""
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], str):
        raise ServingError(f"The describe signature of model {name} did not answer one text.")
    try:
        return ModelSpec.from_json(rows[0])
    except SpecError as error:
        raise ServingError(f"Model {name} describes itself wrongly: {error}") from error


def _configured(entry: ModelEntry, signatures: Signatures) -> tuple[str | None, ModelSpec]:
    """Return scores output and spec of a foreign SavedModel: signature first, then models file."""
    classes = len(entry.labels) if entry.labels else None
    output, declared = scores_output(signatures, classes)
    classes = classes or declared
    if classes is None or entry.input is None:
        missing = "input" if entry.input is None else "labels"
        raise ServingError(
            f"Model {entry.name} does not describe itself, and the models file does not say its "
            f"{missing}. At least input = {{ scale = … }} is needed, and labels where the "
            "signature does not declare how many classes there are."
        )
    try:
        told = declared_picture(picture_input(signatures)) | dict(entry.input)
        spec = ModelSpec(
            name=entry.name,
            input=input_from_dict(told),
            output=OutputSpec(classes=classes, activation=entry.activation),
            labels=entry.labels or numbered_labels(classes),
        )
    except SpecError as error:
        raise ServingError(f"Model {entry.name} cannot be described: {error}") from error
    return output, spec
