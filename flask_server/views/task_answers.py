"""How the result of each task is written: as JSON, and in other media types.

``ANSWERS`` is the table of tasks. ``flask_server.inference.outcomes.READERS`` is its counterpart.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import orjson
from flask import Response
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from flask_server.drawing import annotate
from flask_server.drawing.boxes import with_boxes
from flask_server.drawing.label_map import MAP_BYTES, overlaid, palette_file
from flask_server.errors import InvalidParameter
from flask_server.inference.image_memory import held
from flask_server.inference.npy import Tensor
from flask_server.inference.outcomes import (
    Detections,
    Embedding,
    Outcome,
    Ranking,
    RawOutputs,
    Segmentation,
)
from flask_server.inference.predict import PredictResponse
from flask_server.inference.preparation import Upload
from flask_server.serving.live_model import LiveModel
from flask_server.views.pictures import picture_answer, upright, with_warnings
from flask_server.web import request_context
from flask_server.web.negotiation import JPEG, JSON, NPY, PNG
from flask_server.web.parameters import SHARED_PARAMETERS
from flask_server.web.services import all_results, deadline, gateway, only_result
from model_catalog.spec import SCORE_TASKS

_Outcome = TypeVar("_Outcome", bound=Outcome)


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of a request with one upload, which may be a tensor of several rows."""

    upload: Upload
    response: PredictResponse

    @property
    def title(self) -> str:
        """The heading of a drawn result."""
        return f"{self.response.model}, version {self.response.version}"


#: Writes a response in a media type other than JSON.
Representation = Callable[[Answer, str], Response]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskAnswer:
    """How the results of one task are written."""

    body: Callable[[Any], dict[str, Any]]
    """Returns the members of the JSON object of one result; the first is the result itself."""

    parameters: Sequence[str]
    """The parameters that the task has beside those that all tasks share."""

    pictures: Mapping[str, Representation] = field(default_factory=dict)
    """Other media types for an image."""

    arrays: Mapping[str, Representation] = field(default_factory=dict)
    """Other media types for an image or a tensor."""

    def media_types(self, upload: Upload) -> Sequence[str]:
        """Return the media types in which a result for this upload can be written, JSON first."""
        pictures = () if isinstance(upload, Tensor) else tuple(self.pictures)
        return JSON, *pictures, *self.arrays

    def write(self, answer: Answer, media_type: str) -> Response:
        """Return the response in a media type other than JSON."""
        representations = {**self.pictures, **self.arrays}
        return representations[media_type](answer, media_type)


def check_parameters(given: Mapping[str, Any], live: LiveModel) -> None:
    """Raise InvalidParameter for a parameter that the model's task does not have."""
    task = live.spec.task
    allowed = (*SHARED_PARAMETERS, *ANSWERS[task].parameters)
    for name in given:
        if name not in allowed:
            raise InvalidParameter(
                f"{name} is given, but model {live.name} has the task {task}; allowed are"
                f" {', '.join(allowed)}."
            )


def predictions_json(ranking: Ranking) -> list[dict[str, Any]]:
    """Return the classes of a ranking."""
    return [
        {"class_id": p.class_id, "label": p.label, "score": p.score} for p in ranking.predictions
    ]


def _detections_json(found: Detections) -> dict[str, Any]:
    detections = [
        {
            "class_id": one.class_id,
            "label": one.label,
            "score": one.score,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), one.box, strict=True)),
        }
        for one in found.detections
    ]
    return {"detections": detections, "size": list(found.size)}


def _outputs_json(raw: RawOutputs) -> dict[str, Any]:
    return {name: _numbers_json(values) for name, values in raw.outputs.items()}


def _numbers_json(values: NDArray[np.generic]) -> Any:  # noqa: ANN401 (any JSON)
    """Return an array as JSON; NaN and infinity become null."""
    if values.dtype == object or not values.ndim:
        return values.item()
    return orjson.Fragment(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY))


def _embedding_json(embedding: Embedding) -> dict[str, Any]:
    return {
        "embedding": _numbers_json(embedding.vector),
        "dimensions": embedding.vector.size,
        "normalized": embedding.normalized,
    }


def _annotated(answer: Answer, media_type: str) -> Response:
    response, predictions = answer.response, only_result(answer.response).predictions
    with upright(answer.upload) as picture:
        drawn = annotate.annotated(
            picture, predictions, title=answer.title, notices=response.warnings
        )
        return picture_answer(drawn, media_type, response.warnings)


def _segmentation_json(segmentation: Segmentation) -> dict[str, Any]:
    areas = [
        {"class_id": a.class_id, "label": a.label, "pixels": a.pixels, "share": a.share}
        for a in segmentation.areas
    ]
    return {"areas": areas, "size": list(segmentation.label_map.size)}


def _label_map(answer: Answer, media_type: str) -> Response:
    """Return the class of each pixel of the upright original, as PNG or ``.npy``."""
    (segmentation,) = _outcomes(answer.response, Segmentation)
    label_map = segmentation.label_map
    count = label_map.size[0] * label_map.size[1] * MAP_BYTES
    with (
        held(gateway().memory, count, deadline(), "The label map takes"),
        request_context.current().stopwatch.stage("postprocess"),
    ):
        classes = label_map.pixels()
        if media_type == NPY:
            return _npy(answer.response, [classes])
        file = palette_file(classes)
        return with_warnings(Response(file, content_type=PNG), answer.response.warnings)


def _overlay(answer: Answer, media_type: str) -> Response:
    (segmentation,) = _outcomes(answer.response, Segmentation)
    shares = [(area.number, area.label, area.share) for area in segmentation.areas]
    warnings = answer.response.warnings
    with upright(answer.upload) as picture:
        drawn = overlaid(
            picture, segmentation.label_map, shares, title=answer.title, notices=warnings
        )
        return picture_answer(drawn, media_type, warnings)


def _with_boxes(answer: Answer, media_type: str) -> Response:
    warnings = answer.response.warnings
    (found,) = _outcomes(answer.response, Detections)
    with upright(answer.upload) as picture:
        drawn = with_boxes(
            picture, found.detections, original=found.size, title=answer.title, notices=warnings
        )
        return picture_answer(drawn, media_type, warnings)


def _npy_of_output(answer: Answer, _: str) -> Response:
    outcomes = _outcomes(answer.response, RawOutputs)
    names = list(outcomes[0].outputs)
    if len(names) > 1:
        raise InvalidParameter(
            f"The model has the outputs {', '.join(names)}; a .npy file has one, which the"
            " parameter output names."
        )
    return _npy(answer.response, [outcome.outputs[names[0]] for outcome in outcomes])


def _npy_of_vector(answer: Answer, _: str) -> Response:
    outcomes = _outcomes(answer.response, Embedding)
    return _npy(answer.response, [outcome.vector for outcome in outcomes])


def _outcomes(response: PredictResponse, kind: type[_Outcome]) -> list[_Outcome]:
    found = [result.outcome for result in all_results(response)]
    return [outcome for outcome in found if isinstance(outcome, kind)]


def _npy(response: PredictResponse, rows: Sequence[NDArray[np.generic]]) -> Response:
    """Return the only row, or all rows of a tensor with a batch dimension, as a ``.npy`` file."""
    if any(row.dtype == object for row in rows):
        raise InvalidParameter("The output has strings, which a .npy file cannot hold.")
    if len({row.shape for row in rows}) > 1:
        raise InvalidParameter("The rows of the output differ in shape; ask for JSON.")
    values = np.stack(rows) if response.has_rows else rows[0]
    file = io.BytesIO()
    npy_format.write_array(file, values, allow_pickle=False)
    return with_warnings(Response(file.getvalue(), content_type=NPY), response.warnings)


def result_of(response: PredictResponse) -> object:
    """Return the result itself, without the members that describe it; of rows, a list of them."""
    body = ANSWERS[response.task].body
    results = [next(iter(body(result.outcome).values())) for result in all_results(response)]
    return results if response.has_rows else results[0]


_SCORES = TaskAnswer(
    body=lambda ranking: {"predictions": predictions_json(ranking)},
    parameters=("top_k", "threshold", "labels"),
    pictures={PNG: _annotated, JPEG: _annotated},
)

#: How the results of each task are written.
ANSWERS: Mapping[str, TaskAnswer] = {
    **dict.fromkeys(SCORE_TASKS, _SCORES),
    "detection": TaskAnswer(
        body=_detections_json,
        parameters=("top_k", "threshold", "labels"),
        pictures={PNG: _with_boxes, JPEG: _with_boxes},
    ),
    "tensor": TaskAnswer(
        body=lambda raw: {"outputs": _outputs_json(raw)},
        parameters=("output",),
        arrays={NPY: _npy_of_output},
    ),
    "embedding": TaskAnswer(
        body=_embedding_json,
        parameters=("output", "normalize"),
        arrays={NPY: _npy_of_vector},
    ),
    "segmentation": TaskAnswer(
        body=_segmentation_json,
        parameters=(),
        pictures={PNG: _label_map, JPEG: _overlay, NPY: _label_map},
    ),
}

#: The media types of every task, for requests whose model is not known yet.
MEDIA_TYPES = (JSON, PNG, JPEG, NPY)
