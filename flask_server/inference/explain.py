"""The use case: how much each cell of an image contributes to the score of a class (occlusion).

The cells of a grid are occluded one after the other; the heat of a cell is how far the score falls.
This needs only predict calls, so it works for any classifier behind any Serving.

Knows nothing about HTTP. All scores come from one version, Serving gets at most
``MAX_OCCLUSION_IMAGES`` images per explanation, its calls are short so that predictions are not
delayed, and the deadline covers the whole request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import InvalidParameter, ServingTimeout, UnsupportedTask
from flask_server.imaging.occlusion import occlude_cells, peak_bytes
from flask_server.imaging.preprocessing import Pixels
from flask_server.imaging.reports import Report
from flask_server.inference.image_memory import held
from flask_server.inference.model_inputs import image_spec
from flask_server.inference.predict import Gateway, PredictRequest, timed_scores
from flask_server.inference.preparation import PreparedImage
from flask_server.inference.ranking import Prediction, RankingOptions, activated, resolve
from flask_server.serving.live_model import LiveModel
from flask_server.serving.scores import Scores
from flask_server.stopwatch import Stopwatch
from model_catalog.errors import shown
from model_catalog.spec import SCORE_TASKS, InputSpec, ModelSpec

#: The drop of the score when a cell is occluded, shape (rows, columns) of the grid.
Heat = NDArray[np.float64]

#: Maximum number of images per explanation: the image itself and one per cell.
MAX_OCCLUSION_IMAGES = 128
#: Limits of the cells per side that a request may ask for.
MIN_GRID = 2
MAX_GRID = math.isqrt(MAX_OCCLUSION_IMAGES - 1)
#: Cells per side if the request names no number, and the least to which a slow model reduces them.
DEFAULT_GRID = 8
MIN_DEFAULT_GRID = 4
#: Minimum size of a cell in the default grid, in pixels: smaller ones hardly change a score.
MIN_CELL_PIXELS = 6
#: Share of the remaining time that the default grid is expected to take.
TIME_SHARE = 0.7

#: Limits of one call, in images and seconds: a prediction may have to wait until it ends.
MAX_CALL_IMAGES = 16
MAX_CALL_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainRequest:
    """The image and the class to explain."""

    predict_request: PredictRequest
    """With one upload; its labels limit the classes to choose from."""

    target_class: str | None = None
    """Class id or label; None means the class with the highest score."""

    grid: int | None = None
    """Cells per side; None means as many as time and pixels allow, up to ``DEFAULT_GRID``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """How much each cell of the image contributes to the score of one class."""

    model: str
    version: int

    split_label: str | None = None
    """The version label that the split of the model chose; None if a split chose none."""

    prediction: Prediction
    heat: Heat

    input_spec: InputSpec
    """The model's input spec: the grid covers the input, which may be a part of the image."""

    report: Report
    warnings: tuple[str, ...]


def explain(
    gateway: Gateway, request: ExplainRequest, deadline: Deadline, watch: Stopwatch
) -> Explanation:
    """Return the explanation, or raise the GatewayError that fails the request."""

    def run(live: LiveModel) -> Explanation:
        (upload,) = request.predict_request.uploads
        check_ranks(live)
        _check_scores_all(live)
        spec = image_spec(live)
        _check(request, live.spec)
        prepared = gateway.preparation.prepare(upload, spec, deadline, watch)
        count = peak_bytes(prepared.pixels.size, MAX_CALL_IMAGES)
        with held(gateway.memory, count, deadline, "The occluded images take"):
            return _OcclusionRun(live, deadline, watch).explanation(request, prepared)

    return gateway.attempt(request.predict_request, deadline, run)


def check_ranks(live: LiveModel) -> None:
    """Raise UnsupportedTask unless the model ranks classes."""
    if live.spec.task not in SCORE_TASKS:
        raise UnsupportedTask(
            f"Model {live.name} has the task {live.spec.task}; this route needs a model of the task"
            " classification."
        )


def _check_scores_all(live: LiveModel) -> None:
    """Raise UnsupportedTask for a graph that returns its best classes only."""
    if live.top_k is not None:
        raise UnsupportedTask(
            f"Model {live.name} returns its best classes only; this route needs the scores of all"
            " classes."
        )


def _check(request: ExplainRequest, spec: ModelSpec) -> None:
    """Raise InvalidParameter for options that the model does not allow, before decoding."""
    names = {name for pair in spec.labels for name in pair}
    target = request.target_class
    if target is not None and target not in names:
        raise InvalidParameter(f"class is {shown(target)}; the model has no such class.")
    limit = _max_grid(spec.images)
    if request.grid is not None and not MIN_GRID <= request.grid <= limit:
        raise InvalidParameter(f"grid is {request.grid}; allowed is {MIN_GRID} to {limit}.")
    resolve(request.predict_request.options.ranking, spec)


def _max_grid(spec: InputSpec) -> int:
    """Return the maximum of cells per side: a cell has at least one pixel of the model's input."""
    return max(MIN_GRID, min(MAX_GRID, spec.height, spec.width))


class _OcclusionRun:
    """The occlusion of one image, scored by one version of a model."""

    def __init__(self, live: LiveModel, deadline: Deadline, watch: Stopwatch) -> None:
        self.live = live
        self.deadline = deadline
        self.watch = watch

    def explanation(self, request: ExplainRequest, prepared: PreparedImage) -> Explanation:
        """Score the image itself, then with each cell occluded."""
        live, start = self.live, time.monotonic()
        (scores,) = self._scores([prepared.pixels])
        image_s = time.monotonic() - start
        target = _target(request, scores, live.spec)
        grid = request.grid or self._default_grid(image_s)
        occluded = [row[target] for row in self._occluded_scores(prepared.pixels, grid, image_s)]
        class_id, label = live.spec.labels[target]
        return Explanation(
            model=live.name,
            version=live.version,
            split_label=live.split_label,
            prediction=Prediction(class_id, label, float(scores[target])),
            heat=(scores[target] - np.array(occluded)).reshape(grid, grid),
            input_spec=live.spec.images,
            report=prepared.report,
            warnings=live.warnings,
        )

    def _default_grid(self, image_s: float) -> int:
        """Return the cells per side that a model with this time per image can score in time."""
        spec = self.live.spec.images
        images = TIME_SHARE * self.deadline.left() / image_s
        pixels = min(spec.height, spec.width)
        grid = min(math.isqrt(int(images)), pixels // MIN_CELL_PIXELS, DEFAULT_GRID)
        return min(max(grid, MIN_DEFAULT_GRID), _max_grid(spec))

    def _occluded_scores(self, pixels: Pixels, grid: int, image_s: float) -> Iterator[Scores]:
        """Yield the scores of the image with each cell occluded, row by row."""
        images, longest_s = occlude_cells(pixels, grid), image_s
        size = min(max(int(MAX_CALL_S / image_s), 1), MAX_CALL_IMAGES)
        for done in range(0, grid * grid, size):
            if self.deadline.left() < longest_s:
                # A call that cannot end in time would count as a timeout of Serving.
                raise self._too_slow(done, grid)
            start = time.monotonic()
            with self.watch.stage("preprocess"):
                batch = list(islice(images, size))
            yield from self._scores(batch)
            longest_s = max(longest_s, time.monotonic() - start)

    def _scores(self, images: Sequence[Pixels]) -> list[Scores]:
        rows = timed_scores(self.live, images, self.deadline, self.watch)
        return [activated(row, self.live.spec) for row in rows]

    def _too_slow(self, done: int, grid: int) -> ServingTimeout:
        return ServingTimeout(
            f"Serving scored {done} of {grid * grid} cells, and the next call would end after the "
            f"deadline of {self.deadline.seconds:g} s; a smaller grid needs less time."
        )


def _target(request: ExplainRequest, scores: Scores, spec: ModelSpec) -> int:
    """Return the index of the class to explain: of several, the one with the highest score."""
    target = request.target_class
    labels = request.predict_request.options.ranking.labels if target is None else [target]
    classes = resolve(RankingOptions(labels=labels), spec).classes
    return int(classes[np.argmax(scores[classes])])
