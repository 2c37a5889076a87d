"""Settle the scale of an export, and say in its spec how it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import keras_models
from scripts.checks.batch_norm import NoStatistics, Statistics, statistics_of
from scripts.checks.class_folders import Check, check_folders
from scripts.checks.picture_files import levels_of, photographs, pictures_in
from scripts.saved_model import scorer

if TYPE_CHECKING:
    import keras

    from model_catalog.spec import ModelSpec

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the statistics and the labelled images say of the scale."""

    statistics: Statistics | None
    no_statistics: str
    """Why there are no statistics; empty if there are."""

    pictures: int
    check: Check | None

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales that are possible, the best first; empty if nothing is known."""
        if self.check is not None:
            return self.check.scales
        if self.statistics is None or self.statistics.is_frozen:
            return ()
        return self.statistics.scales

    @property
    def text(self) -> str:
        """The findings in one line for the spec."""
        return "; ".join([*self._of_check(), *self._of_statistics()])

    def _of_check(self) -> list[str]:
        if self.check is None:
            return []
        losses: dict[str, float] = {}
        for fit in self.check.fits:
            losses.setdefault(fit.candidate.scale, fit.loss)
        return [f"loss of {self.check.pictures} labelled images: {_listed(losses)}"]

    def _of_statistics(self) -> list[str]:
        if self.statistics is None:
            return []
        kind = "frozen batch normalisation" if self.statistics.is_frozen else "batch normalisation"
        values = _listed(self.statistics.of_scales())
        return [f"divergence at the first {kind} with {self.pictures} images: {values}"]


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{scale} {value:.2g}" for scale, value in [*values.items()][:_SHOWN])


def evidence_of(
    model: keras.Model, spec: ModelSpec, images: Path | None, check: Path | None
) -> Evidence:
    """Examine the model with photographs, and with labelled images if ``check`` names some.

    ``images`` is a folder of images like those of the training; None takes the photographs of
    the project. Raises ScriptError for folders that cannot be used.
    """
    scores = scorer(model, spec.output)
    files = photographs() if images is None else pictures_in(images)
    statistics, reason = None, ""
    try:
        if not files:
            raise NoStatistics("There are no photographs here; name a folder with --images.")
        statistics = statistics_of(model, scores, levels_of(files, spec.images), spec.images)
    except NoStatistics as error:
        reason = str(error)
    checked = None if check is None else check_folders(check, scores, spec)
    return Evidence(statistics, reason, len(files), checked)


def settle(
    model: keras.Model,
    spec: ModelSpec,
    assumed: Sequence[str],
    evidence: Evidence,
    given: str | None,
) -> tuple[ModelSpec, list[str], list[str]]:
    """Return the spec with its evidence, the assumptions, and one text per warning.

    A scale that is only a guess is replaced by that of the evidence; any other that the evidence
    contradicts is kept and warned of. ``given`` is the scale that the user gave.
    """
    found = keras_models.scale_of(model)
    known = f"--scale {given}" if given is not None else found.assumption or "the model says so"
    scale, assumed, warnings = spec.images.scale, list(assumed), list(_warnings(evidence, spec))
    is_guess = given is None and found.assumption == keras_models.GUESS
    if is_guess and evidence.scales:
        scale, known, warnings = evidence.scales[0], "", _swapped(evidence)
        assumed = [text for text in assumed if not text.startswith("--scale ")]
        others = " or ".join(evidence.scales[1:])
        text = f"{evidence.text}; {others} is possible too" if others else evidence.text
        assumed.insert(0, f"--scale {scale} ({text})")
    text = "; ".join(filter(None, [known, evidence.text]))
    settled = dataclasses.replace(
        spec, input=dataclasses.replace(spec.images, scale=scale), scale_evidence=text
    )
    return settled, assumed, warnings


def _warnings(evidence: Evidence, spec: ModelSpec) -> list[str]:
    scales = evidence.scales
    if scales and spec.images.scale not in scales:
        return [
            f"--scale {spec.images.scale} contradicts the evidence ({evidence.text}); "
            f"try --scale {' or '.join(scales)}"
        ]
    return _swapped(evidence)


def _swapped(evidence: Evidence) -> list[str]:
    statistics = evidence.statistics
    if evidence.check is not None or statistics is None or statistics.is_frozen:
        return []
    if not statistics.is_swapped:
        return []
    return [
        "the statistics of its first batch normalisation fit images with red and blue swapped, "
        "which no --scale but caffe does; add a layer that swaps them to the model"
    ]
