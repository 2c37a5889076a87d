"""Replay the golden images of an export, to see whether Serving returns the exported scores.

The images and scores are read from the version's folder, so a gateway that cannot reach the
folder does not replay them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flask_server.deadline import Deadline
from flask_server.errors import ServingError, ServingFault
from flask_server.serving.live_model import LiveModel
from flask_server.serving.upstream import ServableGone
from model_catalog.errors import GoldenError
from model_catalog.golden import Golden, read_golden
from model_catalog.quantization import QuantizationError, allowed_drift
from model_catalog.spec import SCORE_TASKS

log = logging.getLogger(__name__)

#: Maximum duration of one replay in seconds.
REPLAY_TIMEOUT_S = 5.0
#: Number of polls after a replay that failed until the next one.
POLLS_AFTER_FAILURE = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """Settings of all replays."""

    max_drift: float | None = None
    """Versions with more drift are refused; None refuses none."""

    spread_polls: int = 1
    """Replays begin at one of so many polls, at random: the workers of a gateway share a Serving,
    and not all of them should replay at once."""


class GoldenReplay:
    """Measures the drift of each version of one model once."""

    def __init__(self, base_path: Path, options: ReplayOptions) -> None:
        self._base_path = base_path
        self._options = options
        self._drifts: dict[int, float | None] = {}
        self._warnings: dict[int, str] = {}
        self._polls_left = random.randrange(options.spread_polls)  # noqa: S311 - not for secrets

    def drift(self, version: int) -> float | None:
        """Return the largest difference of a score; None if it is not, or cannot be, measured."""
        return self._drifts.get(version)

    def warnings(self, version: int) -> tuple[str, ...]:
        """Return a sentence about a drift that the number format cannot explain."""
        return (self._warnings[version],) if version in self._warnings else ()

    def keep_only(self, versions: Iterable[int]) -> None:
        """Forget other versions: their numbers may come back with another model."""
        for version in set(self._drifts).difference(versions):
            self._drifts.pop(version, None)
            self._warnings.pop(version, None)

    def require(self, live: LiveModel, deadline: Deadline) -> None:
        """Raise ServingError if versions are refused for their drift, and this one has too much."""
        allowed = self._options.max_drift
        if allowed is None:
            return
        if live.version not in self._drifts:
            self._measure(live, deadline)
        drift = self.drift(live.version)
        if drift is not None and drift > allowed:
            raise ServingError(
                f"The scores of its golden images differ by up to {drift:.2g} from those of the"
                f" exported model; allowed is {allowed:g} (GATEWAY_MAX_SCORE_DRIFT)."
            )

    def poll(self, live: LiveModel) -> None:
        """Measure the version if that was not done yet and it is the turn of this worker."""
        if live.version in self._drifts:
            return
        if self._polls_left > 0:
            self._polls_left -= 1
            return
        self._polls_left = random.randrange(self._options.spread_polls)  # noqa: S311
        try:
            self._measure(live, Deadline(REPLAY_TIMEOUT_S))
        except (ServingFault, ServableGone) as error:
            self._polls_left = POLLS_AFTER_FAILURE
            log.info("model %s: its golden images were not replayed: %s", live.name, error)

    def _measure(self, live: LiveModel, deadline: Deadline) -> None:
        golden = self._golden(live)
        if golden is None:
            self._drifts[live.version] = None
            return
        size = live.spec.images
        shape = (size.height, size.width, size.channels)
        images = [np.frombuffer(p.pixels, np.uint8).reshape(shape) for p in golden.pictures]
        rows = live.scores_in_own_call(images, deadline)
        drift = golden.drift([row.tolist() for row in rows])
        if drift > self._allowed_drift(live, golden):
            self._warnings[live.version] = (
                f"Version {live.version} returns other scores than the exported model: those of"
                f" its golden images differ by up to {drift:.2g}."
            )
            log.warning("model %s: %s", live.name, self._warnings[live.version])
        self._drifts[live.version] = drift

    def _allowed_drift(self, live: LiveModel, golden: Golden) -> float:
        """Return the drift that the number format of the computation can explain."""
        version = self._base_path / str(live.version)
        try:
            return allowed_drift(version, golden, live.engine.precision)
        except QuantizationError as error:
            log.warning("model %s: %s", live.name, error)
            return golden.tolerance

    def _golden(self, live: LiveModel) -> Golden | None:
        if live.spec.input is None or live.spec.task not in SCORE_TASKS:
            return None
        try:
            return read_golden(self._base_path / str(live.version), live.spec.input)
        except GoldenError as error:
            log.warning("model %s: %s", live.name, error)
            return None
