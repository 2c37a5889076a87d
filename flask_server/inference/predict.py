"""The use case: pictures in, ranked labels out.

Knows nothing about HTTP. What a caller can rely on: labels always belong to the version that made
the scores, every picture gets its own result or error, and the deadline covers all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, ModelNotReady, Overloaded, UnknownVersion
from flask_server.imaging import decoding
from flask_server.imaging.preprocessing import Pixels, decoding_bound, to_pixels
from flask_server.imaging.reports import Report, report_of
from flask_server.imaging.resizing import resizer
from flask_server.inference.image_pool import ImagePool
from flask_server.inference.ranking import (
    DEFAULT_OPTIONS,
    Prediction,
    RankingOptions,
    rank,
    resolve,
)
from flask_server.serving.client import ServableGone
from flask_server.serving.live_model import LiveModel
from flask_server.serving.models import Models
from flask_server.serving.request_batching import MAX_BATCH
from flask_server.serving.scores import Scores
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec, ModelSpec

#: How often a question is asked when a version swap comes in between. The new version may see
#: pictures differently, so each attempt starts from the upload.
ATTEMPTS = 3

#: The bytes of one picture, or why there are none.
Upload = bytes | GatewayError

Said = TypeVar("Said")


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictRequest:
    """What a caller wants to know."""

    model: str
    uploads: Sequence[Upload]
    options: RankingOptions = DEFAULT_OPTIONS
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What one picture shows, and what was done to it first."""

    predictions: list[Prediction]
    report: Report


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResponse:
    """Which version answered, and one result per upload in their order."""

    model: str
    version: int
    results: list[ImageResult | GatewayError]
    warnings: tuple[str, ...]


class Gateway:
    """Classifies pictures with whatever Serving has live."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings = settings
        self.models = models
        self._lanes = ImagePool()
        self._resize = resizer(fast=settings.fast_resize)
        decoded = most_decoded(settings.max_inflight_calls)
        self._places = {name: threading.BoundedSemaphore(decoded) for name in models.names}

    def classify(
        self, question: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        """Answer the question, or raise the GatewayError that fails all of it."""
        return self.attempt(
            question, deadline, lambda live: self._ask(live, question, deadline, watch)
        )

    def attempt(
        self, question: PredictRequest, deadline: Deadline, ask: Callable[[LiveModel], Said]
    ) -> Said:
        """Ask the version that the question means, and the next one if a swap comes in between."""
        for _ in range(ATTEMPTS):
            live = self._chosen(question, deadline)
            try:
                return ask(live)
            except ServableGone as gone:
                self._swapped(live, question, deadline, gone)
        raise ModelNotReady(f"Model {question.model} changes its version faster than it answers.")

    def prepared(self, upload: Upload, spec: InputSpec, watch: Stopwatch) -> Prepared:
        """Return the model's view of one picture, or raise why it has none."""
        if isinstance(upload, GatewayError):
            raise upload
        bound = partial(decoding_bound, spec) if self.settings.fast_jpeg else None
        with watch.stage("decode"):
            picture = decoding.decode(upload, max_pixels=self.settings.max_pixels, bound=bound)
        with watch.stage("preprocess"):
            return Prepared(to_pixels(picture.image, spec, self._resize), report_of(picture, spec))

    def _chosen(self, question: PredictRequest, deadline: Deadline) -> LiveModel:
        if question.version is not None:
            return self.models.pinned(question.model, question.version, deadline)
        if question.label is not None:
            return self.models.labelled(question.model, question.label, deadline)
        return self.models.newest(question.model, deadline)

    def _swapped(
        self, live: LiveModel, question: PredictRequest, deadline: Deadline, gone: ServableGone
    ) -> None:
        """Look for the version that took over, unless the caller insists on the one that went."""
        if question.version is not None:
            raise UnknownVersion(f"Model {live.name} lost version {live.version}.") from gone
        self.models.poll(live.name, deadline)

    def _ask(
        self, live: LiveModel, question: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        choice = resolve(question.options, live.spec)
        with self._place(live.name, deadline):
            prepare = partial(self._attempted, spec=live.spec.input, deadline=deadline, watch=watch)
            prepared = self._lanes.map(prepare, question.uploads)
            usable = [item.pixels for item in prepared if isinstance(item, Prepared)]
            scores = ask_scores(live, usable, deadline, watch) if usable else []
        with watch.stage("postprocess"):
            ranked = iter([rank(row, live.spec, choice) for row in scores])
        return PredictResponse(
            model=live.name,
            version=live.version,
            results=[
                ImageResult(next(ranked), item.report) if isinstance(item, Prepared) else item
                for item in prepared
            ],
            warnings=warnings_of(live.name, live.spec),
        )

    @contextmanager
    def _place(self, model: str, deadline: Deadline) -> Iterator[None]:
        """Hold one of the places for decoded pictures of this model."""
        places = self._places[model]
        if not places.acquire(timeout=deadline.left()):
            raise Overloaded(
                f"Other requests for model {model} took all of the {deadline.seconds:g} s that this"
                " one had; try again."
            )
        try:
            yield
        finally:
            places.release()

    def _attempted(
        self, upload: Upload, spec: InputSpec, deadline: Deadline, watch: Stopwatch
    ) -> Prepared | GatewayError:
        """Prepare one picture while there is time; what is wrong with it becomes its result."""
        deadline.left()
        try:
            return self.prepared(upload, spec, watch)
        except GatewayError as error:
            return error


def most_decoded(max_inflight_calls: int) -> int:
    """Return for how many requests for one model a worker holds decoded pictures at once.

    They are those of the calls in flight and of the next call: a decoded picture takes many times
    the memory of its file.
    """
    return (max_inflight_calls + 1) * MAX_BATCH


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a model sees of one picture, and what was done to get there."""

    pixels: Pixels
    report: Report


def ask_scores(
    live: LiveModel, pictures: Sequence[Pixels], deadline: Deadline, watch: Stopwatch
) -> list[Scores]:
    """Return the model's scores for each picture, as it gave them."""
    with watch.stage("serving"):
        return live.scores(pictures, deadline)


def warnings_of(name: str, spec: ModelSpec) -> tuple[str, ...]:
    """Return what every answer of this model must be read with."""
    if spec.trained:
        return ()
    return (f"Model {name} has untrained random weights: its labels and scores mean nothing.",)
