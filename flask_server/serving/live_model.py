"""One available version of a model: its spec, and the predict call for its outputs.

Labels and scores always come from the same version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flask_server.deadline import Deadline
from flask_server.errors import UnsupportedTask
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.outputs import Outputs
from flask_server.serving.request_batching import RequestBatcher
from flask_server.serving.scores import Scores, read_scores
from flask_server.serving.signatures import (
    TensorInfo,
)
from flask_server.serving.upstream import (
    Codec,
    EngineInfo,
    Serving,
)
from model_catalog.spec import (
    SCORE_TASKS,
    ModelSpec,
)
from model_catalog.top_k import TopK

Item = TypeVar("Item")

#: Bytes of a predict response that are no scores: names, brackets and white space.
FRAME_BYTES = 64 * 1024
#: Maximum bytes of the response to any predict call, whatever its model declares.
MAX_SCORES_BYTES = 64 * 1024 * 1024

#: The name under which ``LiveModel.outputs`` returns the scores of a classifier.
SCORES = "scores"


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One available version of a model with everything that a predict call needs."""

    name: str
    version: int
    spec: ModelSpec
    codec: Codec

    tensor: TensorInfo
    """The input that takes tensors."""

    outputs_of_signature: tuple[TensorInfo, ...]
    """The outputs of the signature that takes images; the one that takes tensors has the same."""

    output: str | None
    """Name of the output with the scores; None if the signature has only one output. Of another
    task, the output that the models file names."""

    one_by_one: bool
    """Whether the graph takes exactly one image per call."""

    divisor: float
    """What the numbers of the output are divided by."""

    row_bytes: int
    """Maximum bytes of the response to a predict call, per image."""

    serving: Serving

    top_k: TopK | None
    """The outputs of a graph that returns its best classes itself; None for any other."""

    batcher: RequestBatcher | None
    """Batches concurrent requests; None if batching could change the scores."""

    engine: EngineInfo

    spec_json: bytes
    """The spec as JSON, written once: it may have many thousand labels."""

    notes: tuple[str, ...] = ()
    """Sentences about the version for those who run it; not part of every response."""

    assumes_scale: bool = False
    """Whether images become floats by a default scale, as nothing states one."""

    split_label: str | None = None
    """The version label by which ``Traffic`` has the version; None for a version that was not
    chosen by a label of ``split`` or ``shadow``."""

    @property
    def takes_files(self) -> bool:
        """Whether the model gets image files as they are."""
        return self.codec.encode_files is not None

    @property
    def reads_scores(self) -> bool:
        """Whether the outputs are a row of scores, one per class."""
        return has_scores(self.spec, self.top_k)

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
            return self.scores_in_own_call(images, deadline)
        return self.batcher.predict(self.version, images, self.scores_in_own_call, deadline)

    def scores_in_own_call(self, images: Sequence[Pixels], deadline: Deadline) -> list[Scores]:
        """Return the scores of each image, in a call that is not shared."""
        return self._read_scores(self._calls(images, self._encode, deadline))

    def outputs(self, images: Sequence[Pixels], deadline: Deadline) -> list[Outputs]:
        """Return the outputs for each image; of a classifier, its scores as output ``SCORES``."""
        if self.reads_scores:
            return [{SCORES: row} for row in self.scores(images, deadline)]
        return self._read_outputs(self._calls(images, self._encode, deadline))

    def tensor_outputs(
        self, tensors: Sequence[NDArray[np.generic]], deadline: Deadline
    ) -> list[Outputs]:
        """Return the outputs for each tensor of the shape and dtype of the model's input."""
        return self._outputs(self._calls(tensors, self.codec.encode_tensors, deadline))

    def file_outputs(self, files: Sequence[bytes], deadline: Deadline) -> list[Outputs]:
        """Return the outputs for each image file, of a model that ``takes_files``."""
        if self.codec.encode_files is None:
            raise UnsupportedTask(f"Model {self.name} takes no image files.")
        return self._outputs(self._calls(files, self.codec.encode_files, deadline))

    def _outputs(self, calls: Sequence[tuple[int, object]]) -> list[Outputs]:
        if self.reads_scores:
            return [{SCORES: row} for row in self._read_scores(calls)]
        return self._read_outputs(calls)

    def rows(self, images: Sequence[Pixels], deadline: Deadline, max_bytes: int) -> object:
        """Return what Serving answers for the images, a row for each, unchecked."""
        return self.answer(self._encode(images), deadline, max_bytes)

    def answer(self, body: bytes, deadline: Deadline, max_bytes: int) -> object:
        """Return what Serving answers to a body, a row for each image, unchecked."""
        answer = self.serving.predict(self.name, self.version, body, deadline, max_bytes)
        return self.codec.rows(answer)

    def _encode(self, images: Sequence[Pixels]) -> bytes:
        if self.codec.encode is None:
            raise UnsupportedTask(
                f"Model {self.name} (task {self.spec.task}) takes tensors only: its description has"
                " no input for images."
            )
        return self.codec.encode(images)

    def _calls(
        self,
        items: Sequence[Item],
        encode: Callable[[Sequence[Item]], bytes],
        deadline: Deadline,
    ) -> list[tuple[int, object]]:
        """Return the number of items of each call, and what Serving answers for them."""
        size = 1 if self.one_by_one else len(items)
        calls = [items[start : start + size] for start in range(0, len(items), size)]
        return [(len(call), self._call(encode(call), len(call), deadline)) for call in calls]

    def _call(self, body: bytes, count: int, deadline: Deadline) -> object:
        max_bytes = min(FRAME_BYTES + count * self.row_bytes, MAX_SCORES_BYTES)
        return self.serving.predict(self.name, self.version, body, deadline, max_bytes)

    def _read_scores(self, calls: Iterable[tuple[int, object]]) -> list[Scores]:
        read = partial(
            read_scores,
            output=self.spec.output,
            divisor=self.divisor,
        )
        return [row for n, answer in calls for row in read(self.codec.rows(answer), count=n)]

    def _read_outputs(self, calls: Iterable[tuple[int, object]]) -> list[Outputs]:
        return [row for n, answer in calls for row in self.codec.outputs(answer, count=n)]


def has_scores(spec: ModelSpec, top_k: TopK | None) -> bool:
    """Tell whether a model's outputs are a row of scores, one per class."""
    return spec.task in SCORE_TASKS and top_k is None
