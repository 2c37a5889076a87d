"""Copy a share of the requests to another version, and compare the scores of both versions.

Callers notice nothing: copies wait in a bounded queue until the worker has spare capacity, and
those that do not fit are dropped and counted. Copies have connections and a circuit breaker of
their own, so that failures of a version do not open the circuit that requests use.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, ImageError, UnknownModel
from flask_server.inference.model_inputs import Prepared, outputs_of, prepared_image
from flask_server.inference.npy import Tensor
from flask_server.inference.preparation import (
    ImagePreparation,
    PreparedFile,
    PreparedImage,
    Upload,
)
from flask_server.inference.ranking import activated
from flask_server.memory_budget import MemoryBudget
from flask_server.serving.live_model import SCORES, LiveModel
from flask_server.serving.outputs import Outputs
from flask_server.serving.scores import Scores
from flask_server.serving.traffic import Traffic, is_comparable
from flask_server.serving.upstream import ServableGone, SingleServing
from flask_server.settings import Settings
from flask_server.stopwatch import Stopwatch
from model_catalog.spec import ModelSpec

log = logging.getLogger(__name__)

#: Maximum number of requests whose copies wait, and the bytes of their images.
MAX_QUEUED = 32
MAX_QUEUED_BYTES = 16 * 1024 * 1024
#: Bytes for decoding an image again, for a version with another input size.
DECODE_BYTES = 64 * 1024 * 1024

#: Seconds between two checks whether there is spare capacity.
_PAUSE_S = 0.02
#: Seconds to wait for the thread to end; the call that it is in may take longer.
_CLOSE_S = 2.0

COMPARED = "compared"
#: The queue was full, the version was unloaded meanwhile, or there is no memory to decode the image
#: again.
DROPPED = "dropped"
#: The copy was answered with an error.
FAILED = "failed"
OUTCOMES = (COMPARED, DROPPED, FAILED)


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """How the scores of two versions for one image differ."""

    agrees: bool
    """Whether both have the same best class."""

    shift: float
    """Absolute difference between the scores of the best class of the first version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowResult:
    """What became of the copy of one request."""

    model: str
    label: str
    version: int
    """The version that answered the request."""

    shadow_version: int
    outcome: str
    images: Sequence[ImageComparison] = ()


@dataclass(frozen=True, slots=True)
class _Copy:
    """One request that was answered by ``live``, for ``shadow``."""

    live: LiveModel
    shadow: LiveModel
    label: str

    sources: Sequence[Prepared | Upload]
    """What was prepared for ``live`` if ``shadow`` takes the same input, else the uploads."""

    scores: Sequence[Scores]
    bytes: int


class Shadow:
    """The copies of one worker's requests; safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        traffic_of: Callable[[str], Traffic],
        is_busy: Callable[[], bool],
        connect: Callable[[str], SingleServing],
        observe: Callable[[ShadowResult], None],
    ) -> None:
        """``is_busy`` tells that there is no spare capacity.

        ``connect`` returns another client of the model server at an address.
        """
        self._deadline_s = settings.deadline_s
        self._traffic_of = traffic_of
        self._is_busy = is_busy
        self._connect = connect
        self._observe = observe
        self._preparation = ImagePreparation(settings, MemoryBudget(DECODE_BYTES))
        self._memory = MemoryBudget(MAX_QUEUED_BYTES)
        self._queue: queue.Queue[_Copy | None] = queue.Queue(MAX_QUEUED)
        self._servers: WeakKeyDictionary[SingleServing, SingleServing] = WeakKeyDictionary()
        self._failing: set[tuple[str, str]] = set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stop = threading.Event()

    def close(self) -> None:
        """End the thread after its current call, and wait a little for it."""
        self._stop.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes the thread
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def offer(
        self,
        live: LiveModel,
        uploads: Sequence[Upload],
        prepared: Sequence[Prepared | GatewayError],
        outputs: Sequence[Outputs],
    ) -> None:
        """Queue copies of an answered request, as ``shadow`` of its model says; never raise.

        ``prepared`` has an item for each of the uploads, or the rows of a single tensor; those
        without an error have ``outputs``.
        """
        try:
            self._offer(live, uploads, prepared, outputs)
        except UnknownModel:  # it was removed while the request was answered
            return
        except Exception:  # the request is answered whatever becomes of its copies
            log.exception("model %s: a request was not copied", live.name)

    def _offer(
        self,
        live: LiveModel,
        uploads: Sequence[Upload],
        prepared: Sequence[Prepared | GatewayError],
        outputs: Sequence[Outputs],
    ) -> None:
        traffic = self._traffic_of(live.name)
        for label, percent in traffic.shadow.items():
            shadow = traffic.versions.get(label)
            if shadow is None or not _comparable(live, shadow) or not _chance(percent):
                continue
            inputs = [item for item in prepared if not isinstance(item, GatewayError)]
            if not inputs:
                continue
            scores = [np.asarray(row[SCORES], np.float64) for row in outputs]
            sources: Sequence[Prepared | Upload] = inputs
            if not _same_input(live, shadow):
                if isinstance(uploads[0], Tensor):
                    continue  # it was made for the input of ``live``
                sources = _good_uploads(uploads, prepared)
            size = sum(map(_bytes_of, sources))
            self._put(_Copy(live, shadow, label, sources, scores, size))

    def _put(self, copy: _Copy) -> None:
        if not self._memory.reserve(copy.bytes):
            self._report(copy, DROPPED)
            return
        try:
            self._queue.put_nowait(copy)
        except queue.Full:
            self._memory.release(copy.bytes)
            self._report(copy, DROPPED)
            return
        self._start()

    def _start(self) -> None:
        """Start the thread with the first copy: most gateways have none."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                thread.start()  # raises RuntimeError where no thread can be started
                self._thread = thread

    def _run(self) -> None:
        while not self._stop.is_set():
            copy = self._queue.get()
            if copy is None:
                break
            try:
                self._compare(copy)
            except Exception:  # an internal error must not end the thread
                log.exception("model %s: a copy failed", copy.live.name)
                with suppress(Exception):  # the report itself may be what fails
                    self._report(copy, FAILED)
            finally:
                self._memory.release(copy.bytes)
                del copy
        for server in self._servers.values():
            server.close()

    def _compare(self, copy: _Copy) -> None:
        """Ask the shadow version about one image after the other, each with spare capacity."""
        found: list[ImageComparison] = []
        outcome = COMPARED
        for source, scores in zip(copy.sources, copy.scores, strict=True):
            if not self._spare_capacity():
                return
            try:
                row = self._shadow_scores(copy.shadow, source)
            except (ServableGone, ImageError):
                outcome = DROPPED
                break
            except GatewayError as error:
                outcome = FAILED
                self._note_failure(copy, error)
                break
            found.append(compare(copy.live.spec, scores, copy.shadow.spec, row))
        else:
            self._failing.discard((copy.live.name, copy.label))
        self._report(copy, outcome, found)

    def _spare_capacity(self) -> bool:
        """Wait until there is spare capacity; return False if the thread has to end."""
        while self._is_busy():
            if self._stop.wait(_PAUSE_S):
                return False
        return not self._stop.is_set()

    def _shadow_scores(self, shadow: LiveModel, source: Prepared | Upload) -> Scores:
        deadline = Deadline(self._deadline_s)
        if isinstance(source, PreparedImage | PreparedFile | np.ndarray):
            prepared: Prepared = source
        else:
            prepared = prepared_image(self._preparation, shadow, source, deadline, Stopwatch())
        # Without the batcher, which would put the image into a call that answers requests.
        server = shadow.serving.server_of(shadow.name, shadow.version)
        alone = replace(shadow, serving=self._own(server), batcher=None)
        (outputs,) = outputs_of(alone, [prepared], deadline)
        return np.asarray(outputs[SCORES], np.float64)

    def _own(self, server: SingleServing) -> SingleServing:
        own = self._servers.get(server)
        if own is None:
            own = self._servers[server] = self._connect(server.root)
        return own

    def _report(self, copy: _Copy, outcome: str, images: Sequence[ImageComparison] = ()) -> None:
        self._observe(
            ShadowResult(
                model=copy.live.name,
                label=copy.label,
                version=copy.live.version,
                shadow_version=copy.shadow.version,
                outcome=outcome,
                images=images,
            )
        )

    def _note_failure(self, copy: _Copy, error: GatewayError) -> None:
        """Log the first of several failures in a row."""
        key = copy.live.name, copy.label
        if key not in self._failing:
            self._failing.add(key)
            log.warning(
                "model %s: version %d (shadow label %s) failed: %s",
                *(copy.live.name, copy.shadow.version, copy.label, error),
            )


def compare(
    spec: ModelSpec, scores: Scores, shadow_spec: ModelSpec, shadow_scores: Scores
) -> ImageComparison:
    """Compare the scores of two versions by class id; a class that is missing has the score 0."""
    values, others = activated(scores, spec), activated(shadow_scores, shadow_spec)
    best, shadow_best = int(np.argmax(values)), int(np.argmax(others))
    class_id = spec.labels[best][0]
    shadow_ids = (pair[0] for pair in shadow_spec.labels)
    index = next((i for i, shadow_id in enumerate(shadow_ids) if shadow_id == class_id), None)
    score = 0.0 if index is None else float(others[index])
    return ImageComparison(
        agrees=class_id == shadow_spec.labels[shadow_best][0],
        shift=abs(score - float(values[best])),
    )


def _comparable(live: LiveModel, shadow: LiveModel) -> bool:
    """Tell whether both have scores; a version is not compared with itself."""
    return live.version != shadow.version and is_comparable(live) and is_comparable(shadow)


def _chance(percent: float) -> bool:
    return random.random() * 100 < percent  # noqa: S311 - not for secrets


def _same_input(live: LiveModel, shadow: LiveModel) -> bool:
    """Tell whether what was prepared for one version can be sent to the other."""
    tensor = replace(shadow.tensor, name=live.tensor.name)  # a new export may change the name only
    return (live.spec.input, live.tensor, live.takes_files) == (
        shadow.spec.input,
        tensor,
        shadow.takes_files,
    )


def _good_uploads(
    uploads: Sequence[Upload], prepared: Sequence[Prepared | GatewayError]
) -> list[Upload]:
    """Return the uploads that were prepared without an error."""
    return [
        upload
        for upload, item in zip(uploads, prepared, strict=True)
        if not isinstance(item, GatewayError)
    ]


def _bytes_of(source: Prepared | Upload) -> int:
    if isinstance(source, PreparedImage):
        return source.pixels.nbytes
    if isinstance(source, PreparedFile):
        return len(source.data)
    if isinstance(source, np.ndarray):
        return source.nbytes
    return len(source) if isinstance(source, bytes) else 0
