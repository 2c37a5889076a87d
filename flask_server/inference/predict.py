"""The use case: classify the images of one request.

Knows nothing about HTTP. Labels always belong to the version that computed the scores, each image
has its own result or error, and the deadline covers the whole request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, ModelNotReady, Overloaded, UnknownVersion
from flask_server.imaging.preprocessing import Pixels
from flask_server.imaging.reports import Report
from flask_server.inference.decode_limit import DecodeLimit
from flask_server.inference.image_pool import ImagePool
from flask_server.inference.preparation import ImagePreparation, PreparedImage, Upload
from flask_server.inference.ranking import (
    DEFAULT_OPTIONS,
    Prediction,
    RankingOptions,
    rank,
    resolve,
)
from flask_server.memory_budget import MemoryBudget
from flask_server.serving.live_model import LiveModel
from flask_server.serving.models import Models
from flask_server.serving.scores import Scores
from flask_server.serving.upstream import ServableGone
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import InputSpec

#: How often a request is tried if its model version is unloaded meanwhile. The input of the new
#: version may differ, so each attempt starts from the upload.
ATTEMPTS = 3

Answered = TypeVar("Answered")


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictRequest:
    """The images to classify, and by which model version."""

    model: str
    uploads: Sequence[Upload]
    options: RankingOptions = DEFAULT_OPTIONS

    version: int | None = None
    """Number of the version; without it and without a label, the newest available one."""

    label: str | None = None
    """Version label, instead of a number."""


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The predictions for one image, and the report of its preprocessing."""

    predictions: list[Prediction]
    report: Report


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResponse:
    """The version that computed the scores, and one result per upload in their order."""

    model: str
    version: int
    results: list[ImageResult | GatewayError]
    warnings: tuple[str, ...]


class Gateway:
    """Classifies images with the models that Serving has loaded."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings = settings
        self.models = models
        self.memory = MemoryBudget(settings.max_memory)
        self.preparation = ImagePreparation(settings, self.memory)
        self._image_pool = ImagePool()
        self._decode_limit = DecodeLimit(lambda: models.names, settings.max_inflight_calls)

    def classify(
        self, request: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        """Return a result per image, or raise the GatewayError that fails the whole request."""
        return self.attempt(
            request, deadline, lambda live: self._classify_with(live, request, deadline, watch)
        )

    def attempt(
        self, request: PredictRequest, deadline: Deadline, run: Callable[[LiveModel], Answered]
    ) -> Answered:
        """Return the result of ``run`` with the requested version of the model.

        If the version is unloaded meanwhile, ``run`` is repeated with the version that replaced
        it. A request that gives the number of the unloaded version gets UnknownVersion.
        """
        for _ in range(ATTEMPTS):
            live = self._requested_version(request, deadline)
            try:
                return run(live)
            except ServableGone as gone:
                if request.version is not None:
                    raise UnknownVersion(
                        f"Version {live.version} of model {live.name} was unloaded meanwhile."
                    ) from gone
                self.models.poll(live.name, deadline)
        raise ModelNotReady(
            f"The version of model {request.model} changed during each of {ATTEMPTS} attempts; try"
            " again."
        )

    def _requested_version(self, request: PredictRequest, deadline: Deadline) -> LiveModel:
        if request.version is not None:
            return self.models.pinned(request.model, request.version, deadline)
        if request.label is not None:
            return self.models.labelled(request.model, request.label, deadline)
        return self.models.newest(request.model, deadline)

    def _classify_with(
        self, live: LiveModel, request: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        selection = resolve(request.options, live.spec)
        with self._decode_limit.slot(live.name, deadline):
            prepare = partial(
                self._prepared_or_error, spec=live.spec.input, deadline=deadline, watch=watch
            )
            prepared = self._image_pool.map(prepare, request.uploads)
            usable = [item.pixels for item in prepared if isinstance(item, PreparedImage)]
            scores = timed_scores(live, usable, deadline, watch) if usable else []
        with watch.stage("postprocess"):
            ranked = iter([rank(row, live.spec, selection) for row in scores])
        return PredictResponse(
            model=live.name,
            version=live.version,
            results=[
                ImageResult(next(ranked), item.report) if isinstance(item, PreparedImage) else item
                for item in prepared
            ],
            warnings=live.warnings,
        )

    def _prepared_or_error(
        self, upload: Upload, spec: InputSpec, deadline: Deadline, watch: Stopwatch
    ) -> PreparedImage | GatewayError:
        """Return the error of one image as its result; raise at the deadline or without memory."""
        deadline.left()
        try:
            return self.preparation.prepare(upload, spec, deadline, watch)
        except Overloaded:
            raise
        except GatewayError as error:
            return error


def timed_scores(
    live: LiveModel, images: Sequence[Pixels], deadline: Deadline, watch: Stopwatch
) -> list[Scores]:
    """Return the model's scores for each image, and count the time as stage ``serving``."""
    with watch.stage("serving"):
        return live.scores(images, deadline)
