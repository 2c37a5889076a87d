"""The use case: which places of a picture made the model say what it said.

Each place is hidden in turn, the model is asked again, and what the score loses is the heat of that
place. That needs nothing but plain predict, so it works for any classifier behind any Serving.

Knows nothing about HTTP. What a caller can rely on: all numbers come from one version; Serving is
asked for at most ``MOST_PICTURES`` pictures; calls are short, so that predictions find their way in
between; and the deadline covers all of it.
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
from flask_server.errors import InvalidParameter, ServingTimeout
from flask_server.imaging.occlusion import hidden
from flask_server.imaging.preprocessing import Pixels
from flask_server.imaging.reports import Report
from flask_server.inference.predict import (
    Gateway,
    PredictRequest,
    Prepared,
    ask_scores,
    warnings_of,
)
from flask_server.inference.ranking import Prediction, RankingOptions, activated, resolve
from flask_server.serving.live_model import LiveModel
from flask_server.serving.scores import Scores
from flask_server.stopwatch import Stopwatch
from model_catalog.errors import shown
from model_catalog.spec import InputSpec, ModelSpec

Heat = NDArray[np.float64]

#: The picture itself and one per cell of the largest grid.
MOST_PICTURES = 128
MOST_CELLS = math.isqrt(MOST_PICTURES - 1)
LEAST_CELLS = 2
#: Cells per side where the caller names no number, and how far a slow model may bring that down.
USUAL_CELLS = 8
COARSE_CELLS = 4
#: Patches of fewer pixels hide nothing that a model needs: usually the grid is coarser instead.
CELL_PIXELS = 6
#: How much of the time that is left the cells may be expected to take.
TIME_SHARE = 0.7

#: How many pictures and seconds one call may hold Serving: a prediction may wait behind it.
BATCH = 16
BATCH_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainRequest:
    """What a caller wants explained."""

    question: PredictRequest
    """With one upload; its labels narrow the classes to choose from."""

    wanted: str | None = None
    """A class id or label; None is the best class."""

    cells: int | None = None
    """Cells per side; None is as many as time and pixels allow, up to ``USUAL_CELLS``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """How much of one class's score each place of the picture carries."""

    model: str
    version: int
    prediction: Prediction
    heat: Heat
    """By rows of what the model sees: the score that is lost when this cell is hidden."""

    view: InputSpec
    report: Report
    warnings: tuple[str, ...]


def explain(
    gateway: Gateway, inquiry: ExplainRequest, deadline: Deadline, watch: Stopwatch
) -> Explanation:
    """Answer the inquiry, or raise the GatewayError that fails it."""

    def ask(live: LiveModel) -> Explanation:
        (upload,) = inquiry.question.uploads
        _check(inquiry, live.spec)
        prepared = gateway.prepared(upload, live.spec.input, watch)
        return _OcclusionRun(live, deadline, watch).explanation(inquiry, prepared)

    return gateway.attempt(inquiry.question, deadline, ask)


def _check(inquiry: ExplainRequest, spec: ModelSpec) -> None:
    """Refuse what cannot be explained before any picture is decoded."""
    names = {name for pair in spec.labels for name in pair}
    if inquiry.wanted is not None and inquiry.wanted not in names:
        raise InvalidParameter(f"class is {shown(inquiry.wanted)}; the model has no such class.")
    most = _most_cells(spec.input)
    if inquiry.cells is not None and not LEAST_CELLS <= inquiry.cells <= most:
        raise InvalidParameter(f"grid is {inquiry.cells}; allowed is {LEAST_CELLS} to {most}.")
    resolve(inquiry.question.options, spec)


def _most_cells(view: InputSpec) -> int:
    """A cell is at least a pixel of the model's."""
    return max(LEAST_CELLS, min(MOST_CELLS, view.height, view.width))


class _OcclusionRun:
    """One picture before one version of a model."""

    def __init__(self, live: LiveModel, deadline: Deadline, watch: Stopwatch) -> None:
        self.live = live
        self.deadline = deadline
        self.watch = watch

    def explanation(self, inquiry: ExplainRequest, prepared: Prepared) -> Explanation:
        """Ask for the picture as it is, then with each place hidden."""
        live, start = self.live, time.monotonic()
        (scores,) = self._ask([prepared.pixels])
        picture_s = time.monotonic() - start
        target = _target(inquiry, scores, live.spec)
        cells = inquiry.cells or self._affordable(picture_s)
        kept = [row[target] for row in self._with_hidden(prepared.pixels, cells, picture_s)]
        class_id, label = live.spec.labels[target]
        return Explanation(
            model=live.name,
            version=live.version,
            prediction=Prediction(class_id, label, float(scores[target])),
            heat=(scores[target] - np.array(kept)).reshape(cells, cells),
            view=live.spec.input,
            report=prepared.report,
            warnings=warnings_of(live.name, live.spec),
        )

    def _affordable(self, picture_s: float) -> int:
        """Return a number of cells that a model of this speed can answer in time."""
        view = self.live.spec.input
        pictures = TIME_SHARE * self.deadline.left() / picture_s
        pixels = min(view.height, view.width)
        cells = min(math.isqrt(int(pictures)), pixels // CELL_PIXELS, USUAL_CELLS)
        return min(max(cells, COARSE_CELLS), _most_cells(view))

    def _with_hidden(self, pixels: Pixels, cells: int, picture_s: float) -> Iterator[Scores]:
        """Give the scores of the picture with each cell hidden."""
        pictures, longest_s = hidden(pixels, cells), picture_s
        size = min(max(int(BATCH_S / picture_s), 1), BATCH)
        for done in range(0, cells * cells, size):
            if self.deadline.left() < longest_s:
                # A call that cannot end in time would only look like a Serving that hangs.
                raise self._too_slow(done, cells)
            start = time.monotonic()
            with self.watch.stage("preprocess"):
                batch = list(islice(pictures, size))
            yield from self._ask(batch)
            longest_s = max(longest_s, time.monotonic() - start)

    def _ask(self, pictures: Sequence[Pixels]) -> list[Scores]:
        rows = ask_scores(self.live, pictures, self.deadline, self.watch)
        return [activated(row, self.live.spec) for row in rows]

    def _too_slow(self, done: int, cells: int) -> ServingTimeout:
        return ServingTimeout(
            f"Serving answered for {done} of {cells * cells} places, and the deadline of "
            f"{self.deadline.seconds:g} s is near; a smaller grid needs less time."
        )


def _target(inquiry: ExplainRequest, scores: Scores, spec: ModelSpec) -> int:
    """Return the index of the class to explain: of several that are meant, the likeliest."""
    labels = inquiry.question.options.labels if inquiry.wanted is None else [inquiry.wanted]
    classes = resolve(RankingOptions(labels=labels), spec).classes
    return int(classes[np.argmax(scores[classes])])
