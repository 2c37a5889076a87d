"""The result of each task for one image or tensor, read from the outputs of the model. Pure.

``READERS`` is the table of tasks: a task's function checks the options of a request against the
model before an image is decoded, and returns the reader for each image's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidParameter, ServingError, UnsupportedTask
from flask_server.imaging.geometry import Size
from flask_server.imaging.label_maps import LabelMap, place, whole
from flask_server.imaging.orientation import turned_map
from flask_server.inference import detection
from flask_server.inference.class_maps import class_map
from flask_server.inference.detection import Detection
from flask_server.inference.ranking import (
    DEFAULT_OPTIONS,
    Prediction,
    RankingOptions,
    rank,
    rank_returned,
    resolve,
    resolve_returned,
)
from flask_server.serving.boxes import boxes_of
from flask_server.serving.live_model import SCORES, LiveModel
from flask_server.serving.outputs import Outputs
from flask_server.serving.signatures import FLOATS, HALVES
from flask_server.serving.top_k import read_top_k
from model_catalog.boxes import BoxesSpec
from model_catalog.errors import shown
from model_catalog.spec import SCORE_TASKS, ModelSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOptions:
    """What a request asks of a task; not checked against a model yet."""

    ranking: RankingOptions = DEFAULT_OPTIONS

    output: str | None = None
    """The output to return, of a model that returns tensors.

    None means the output that the models file names, else all."""

    normalize: bool = False
    """Whether an embedding is divided by its length."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best classes, best first."""

    predictions: list[Prediction]


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """The outputs of a model by name."""

    outputs: Outputs


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector that stands for an image."""

    vector: NDArray[np.float64] | NDArray[np.float32]
    normalized: bool


@dataclass(frozen=True, slots=True)
class ClassArea:
    """The part of an image that belongs to one class."""

    number: int
    class_id: str
    label: str
    pixels: int

    share: float
    """Share of the part of the image that the model sees."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The class of each pixel."""

    label_map: LabelMap

    areas: list[ClassArea]
    """The classes that occur, the largest first."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects in an image, best first."""

    detections: list[Detection]

    size: Size
    """Width and height of the upright image whose pixels the boxes count."""


Outcome = Ranking | RawOutputs | Embedding | Segmentation | Detections


@dataclass(frozen=True, slots=True)
class View:
    """The upright size and the orientation of the image that an outcome belongs to."""

    size: Size
    """Width and height of the upright image."""

    orientation: int
    """The EXIF orientation of the image as the model sees it; 1 if it sees it upright."""


#: Returns the result of one image from the model's outputs and the image, which is None for a
#: tensor.
Reader = Callable[[Outputs, View | None], Outcome]


def reader_for(live: LiveModel, options: TaskOptions) -> Reader:
    """Return the reader of the task; raise InvalidParameter for options it does not have."""
    make = READERS.get(live.spec.task)
    if make is None:
        raise UnsupportedTask(
            f"Model {live.name} has the task {live.spec.task}, which the gateway does not support."
        )
    return make(live, options)


def _ranking(live: LiveModel, options: TaskOptions) -> Reader:
    top_k = live.top_k
    if top_k is not None:
        returned = resolve_returned(options.ranking, live.spec)
        return lambda outputs, _: Ranking(
            rank_returned(read_top_k(outputs, top_k, live.divisor), live.spec, returned)
        )
    selection = resolve(options.ranking, live.spec)
    return lambda outputs, _: Ranking(rank(np.asarray(outputs[SCORES]), live.spec, selection))


def _raw_outputs(live: LiveModel, options: TaskOptions) -> Reader:
    names = [tensor.name for tensor in live.outputs_of_signature]
    wanted = live.output if options.output is None else options.output
    if wanted is not None and wanted not in names:
        raise InvalidParameter(f"output is {shown(wanted)}; allowed are {', '.join(names)}.")
    chosen = names if wanted is None else [wanted]
    return lambda outputs, _: RawOutputs({name: outputs[name] for name in chosen})


def _embedding(live: LiveModel, options: TaskOptions) -> Reader:
    name = vector_output(live, options.output)
    return partial(_vector, name=name, normalize=options.normalize)


def _detections(live: LiveModel, options: TaskOptions) -> Reader:
    """Boxes of a tensor count the pixels of the model's input."""
    spec, boxes_spec = live.spec, live.spec.boxes or BoxesSpec()
    choice = detection.resolve(options.ranking, spec.labels, boxes_spec)

    def read(outputs: Outputs, view: View | None) -> Detections:
        shown = view or _input_view(live)
        boxes = boxes_of(outputs, input_spec=spec.input, spec=boxes_spec, classes=len(spec.labels))
        found = detection.detections(
            boxes.turned(shown.orientation),
            size=shown.size,
            input_spec=spec.input,
            spec=boxes_spec,
            labels=spec.labels,
            choice=choice,
        )
        return Detections(found, shown.size)

    return read


def _input_view(live: LiveModel) -> View:
    """Return the model's input as the image of a tensor; raise UnsupportedTask without a size."""
    if live.spec.input is None:
        raise UnsupportedTask(f"The description of model {live.name} has no size for its boxes.")
    return View((live.spec.input.width, live.spec.input.height), 1)


def vector_output(live: LiveModel, wanted: str | None) -> str:
    """Return the name of the output with the vector; raise InvalidParameter if it is not known."""
    floats = [t.name for t in live.outputs_of_signature if t.dtype in {*FLOATS, *HALVES}]
    wanted = live.output if wanted is None else wanted
    if wanted is None and len(floats) == 1:
        return floats[0]
    if wanted in floats:
        return wanted
    raise InvalidParameter(
        f"output is {shown(wanted)}; the model's outputs of floats are {', '.join(floats)}."
    )


def _vector(outputs: Outputs, _: View | None, *, name: str, normalize: bool) -> Embedding:
    values = np.asarray(outputs[name], np.float64)
    if not values.size or max(values.shape, default=1) != values.size:
        raise ServingError(
            f"The output {name} has the shape {values.shape} for an image; an embedding is one"
            " vector."
        )
    vector = values.reshape(-1)
    if not np.isfinite(vector).all():
        raise ServingError("The model's embedding has values that are no finite numbers.")
    length = float(np.linalg.norm(vector))
    if normalize and length > 0:
        vector = vector / length
    is_double = outputs[name].dtype == np.float64
    return Embedding(vector if is_double else vector.astype(np.float32), normalize)


def _segmentation(live: LiveModel, _: TaskOptions) -> Reader:
    names = [tensor.name for tensor in live.outputs_of_signature]
    if live.output is None and len(names) > 1:
        raise ServingError(
            f"Model {live.name} has the outputs {', '.join(names)}; the models file has to name the"
            " one with the classes: output."
        )
    return partial(_segmented, name=live.output or names[0], spec=live.spec)


def _segmented(outputs: Outputs, view: View | None, *, name: str, spec: ModelSpec) -> Segmentation:
    cells = class_map(outputs[name], spec.output)
    if view is None:
        label_map = whole(cells)
    else:
        label_map = place(turned_map(cells, view.orientation), view.size, spec.input)
    areas = label_map.areas(spec.output.classes)
    seen = max(1, int(areas.sum()))
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    return Segmentation(
        label_map, [_area(index, int(areas[index]), seen, spec) for index in order.tolist()]
    )


def _area(index: int, pixels: int, seen: int, spec: ModelSpec) -> ClassArea:
    class_id, label = spec.labels[index]
    return ClassArea(index, class_id, label, pixels, pixels / seen)


READERS: Mapping[str, Callable[[LiveModel, TaskOptions], Reader]] = {
    **dict.fromkeys(SCORE_TASKS, _ranking),
    "detection": _detections,
    "tensor": _raw_outputs,
    "embedding": _embedding,
    "segmentation": _segmentation,
}
