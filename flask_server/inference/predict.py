"""The use case: answer the images or tensors of one request, as the task of the model says.

Knows nothing about HTTP. Labels always belong to the version that computed the outputs, each image
has its own result or error, and the deadline covers the whole request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from flask_server.deadline import Deadline
from flask_server.errors import (
    GatewayError,
    InvalidTensor,
    ModelNotReady,
    Overloaded,
    UnknownVersion,
    UnsupportedTask,
    copied,
)
from flask_server.imaging.preprocessing import Pixels
from flask_server.imaging.reports import Report
from flask_server.inference.decode_limit import DecodeLimit
from flask_server.inference.image_memory import FileMemory, held
from flask_server.inference.image_pool import ImagePool
from flask_server.inference.model_inputs import Prepared, outputs_of, prepared_image
from flask_server.inference.npy import Tensor
from flask_server.inference.outcomes import (
    Outcome,
    Ranking,
    Reader,
    TaskOptions,
    View,
    reader_for,
)
from flask_server.inference.preparation import (
    ImagePreparation,
    PreparedFile,
    PreparedImage,
    Upload,
)
from flask_server.inference.ranking import Prediction
from flask_server.inference.shadow import Shadow
from flask_server.inference.split import split_point
from flask_server.inference.tensor_rows import TensorRows, rows_of
from flask_server.memory_budget import MemoryBudget
from flask_server.serving.live_model import LiveModel
from flask_server.serving.models import Models
from flask_server.serving.outputs import Outputs
from flask_server.serving.scores import Scores
from flask_server.serving.upstream import ServableGone
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch

#: How often a request is tried if its model version is unloaded meanwhile. The input of the new
#: version may differ, so each attempt starts from the upload.
ATTEMPTS = 3

#: Bytes of memory for each value of a tensor, which the REST API takes as JSON text.
VALUE_BYTES = 32

Answered = TypeVar("Answered")
DEFAULT_OPTIONS = TaskOptions()


def accept_any(live: LiveModel) -> None:
    """Do nothing; the default of the functions of ``PredictRequest``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictRequest:
    """The images or tensors of one request, and by which model version to answer them."""

    model: str
    uploads: Sequence[Upload]
    options: TaskOptions = DEFAULT_OPTIONS

    check: Callable[[LiveModel], None] = accept_any
    """Raises a GatewayError if the request asks for what the model cannot do; called before an
    image is decoded."""

    on_version: Callable[[LiveModel], None] = accept_any
    """Called by each attempt with its version, before anything is checked against that version."""

    version: int | None = None
    """Number of the version; without it and without a label, the newest available one."""

    label: str | None = None
    """Version label, instead of a number."""

    affinity: str | None = None
    """What requests of one caller have in common: a split gives them the same version label."""


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The result for one image or tensor."""

    outcome: Outcome

    report: Report | None
    """How the image was preprocessed; None for a tensor."""

    @property
    def predictions(self) -> list[Prediction]:
        """The best classes; raise UnsupportedTask for the result of another task."""
        if not isinstance(self.outcome, Ranking):
            raise UnsupportedTask("The model ranks no classes.")
        return self.outcome.predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResponse:
    """The version that computed the outputs, and one result per image or row in their order."""

    model: str
    version: int

    split_label: str | None
    """The version label that the split of the model chose; None if a split chose none."""

    task: str
    results: list[ImageResult | GatewayError]

    has_rows: bool
    """Whether the results belong to the rows of one tensor."""

    warnings: tuple[str, ...]


class Gateway:
    """Answers images and tensors with the models that Serving has loaded."""

    def __init__(self, settings: Settings, models: Models, shadow: Shadow) -> None:
        self.settings = settings
        self.models = models
        self.memory = MemoryBudget(settings.max_memory)
        self.preparation = ImagePreparation(settings, self.memory)
        self.shadow = shadow
        self._image_pool = ImagePool()
        self._decode_limit = DecodeLimit(lambda: models.names, settings.max_inflight_calls)

    def predict(
        self, request: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        """Return a result per image, or raise the GatewayError that fails the whole request."""
        return self.attempt(
            request, deadline, lambda live: self._predict_with(live, request, deadline, watch)
        )

    def attempt(
        self, request: PredictRequest, deadline: Deadline, run: Callable[[LiveModel], Answered]
    ) -> Answered:
        """Return the result of ``run`` with the requested version of the model.

        If the version is unloaded meanwhile, ``run`` is repeated with the version that replaced
        it. A request that gives the number of the unloaded version gets UnknownVersion.
        """
        point = split_point(request.model, request.affinity)
        for _ in range(ATTEMPTS):
            live = self._requested_version(request, point, deadline)
            request.on_version(live)
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

    def _requested_version(
        self, request: PredictRequest, point: float, deadline: Deadline
    ) -> LiveModel:
        if request.version is not None:
            return self.models.pinned(request.model, request.version, deadline)
        if request.label is not None:
            return self.models.labelled(request.model, request.label, deadline)
        return self.models.chosen(request.model, point, deadline)

    def _predict_with(
        self, live: LiveModel, request: PredictRequest, deadline: Deadline, watch: Stopwatch
    ) -> PredictResponse:
        read = reader_for(live, request.options)
        request.check(live)
        with self._decode_limit.slot(live.name, deadline), ExitStack() as held_memory:
            prepared: list[Prepared | GatewayError]
            tensor = self._rows_of_only(request, live, deadline, held_memory)
            if tensor is None:
                files = held_memory.enter_context(closing(FileMemory(self.memory)))
                prepare = partial(
                    self._prepared_or_error, live=live, files=files, deadline=deadline, watch=watch
                )
                prepared = [*self._image_pool.map(prepare, request.uploads)]
            else:
                prepared = list(tensor.rows)
            inputs = [item for item in prepared if not isinstance(item, GatewayError)]
            with watch.stage("serving"):
                outputs = outputs_of(live, inputs, deadline)
        with watch.stage("postprocess"):
            results = _results(prepared, outputs, read)
        self.shadow.offer(live, request.uploads, prepared, outputs)
        return PredictResponse(
            model=live.name,
            version=live.version,
            split_label=live.split_label,
            task=live.spec.task,
            results=results,
            has_rows=tensor is not None and tensor.several,
            warnings=live.warnings,
        )

    def _rows_of_only(
        self, request: PredictRequest, live: LiveModel, deadline: Deadline, held_memory: ExitStack
    ) -> TensorRows | None:
        """Return the rows of a request with one tensor and nothing else, and hold their memory."""
        upload = request.uploads[0]
        if not isinstance(upload, Tensor):
            return None
        if len(request.uploads) > 1:
            raise InvalidTensor(
                "A tensor is sent together with other uploads; a tensor with a batch dimension has"
                " several rows."
            )
        count = upload.values.size * VALUE_BYTES
        held_memory.enter_context(held(self.memory, count, deadline, "The tensor takes"))
        return rows_of(upload, live.tensor, self.settings.max_images)

    def _prepared_or_error(
        self,
        upload: Upload,
        live: LiveModel,
        files: FileMemory,
        deadline: Deadline,
        watch: Stopwatch,
    ) -> PreparedImage | PreparedFile | GatewayError:
        """Return the error of one image as its result; raise at the deadline or without memory."""
        deadline.left()
        if isinstance(upload, GatewayError):
            return upload
        try:
            return prepared_image(self.preparation, live, upload, deadline, watch, files)
        except Overloaded:
            raise
        except GatewayError as error:
            return copied(error)


def _results(
    prepared: Sequence[Prepared | GatewayError], outputs: Sequence[Outputs], read: Reader
) -> list[ImageResult | GatewayError]:
    """Return what is read from the outputs, in the order of the images, or an image's error."""
    rows = iter(outputs)
    return [
        item
        if isinstance(item, GatewayError)
        else ImageResult(read(next(rows), _view_of(item)), _report_of(item))
        for item in prepared
    ]


def _view_of(item: Prepared) -> View | None:
    if isinstance(item, np.ndarray):
        return None
    width, height = item.report["size"]
    return View((width, height), item.orientation if isinstance(item, PreparedFile) else 1)


def _report_of(item: Prepared) -> Report | None:
    return None if isinstance(item, np.ndarray) else item.report


def timed_scores(
    live: LiveModel, images: Sequence[Pixels], deadline: Deadline, watch: Stopwatch
) -> list[Scores]:
    """Return the model's scores for each image, and count the time as stage ``serving``."""
    with watch.stage("serving"):
        return live.scores(images, deadline)
