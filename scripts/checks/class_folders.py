"""Find out with labelled images how a model's images are scaled: a folder for each class.

For each candidate, the model classifies all images; the one whose scores fit the labels best has
the smallest negative log-likelihood. Differences that the images do not settle are ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scripts.checks.candidates import Candidate, candidates
from scripts.checks.picture_files import levels_of, pictures_in
from scripts.errors import ScriptError
from scripts.softmax import softmax

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    from model_catalog.spec import Label, ModelSpec

    Scorer = Callable[[tf.Tensor], tf.Tensor]
    Numbers = NDArray[np.float64]

#: Maximum number of images that are read of one class.
PICTURES_PER_CLASS: Final = 32
_BATCH: Final = 16
#: Smallest probability that counts, so that one image does not decide alone.
_LEAST: Final = 1e-6
#: A difference is settled if it is this many times its standard error.
_STANDARD_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the scores of a candidate fit the labels."""

    candidate: Candidate

    loss: float
    """The mean negative log-likelihood."""

    accuracy: float

    is_tie: bool
    """Whether the images do not tell the candidate from the best one."""


@dataclass(frozen=True, slots=True)
class Check:
    """The fits of all candidates, the best first."""

    fits: tuple[Fit, ...]
    pictures: int

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales of the best candidate and of those that tie with it."""
        return tuple(dict.fromkeys(fit.candidate.scale for fit in self.fits if fit.is_tie))


def check_folders(folder: Path, scores: Scorer, spec: ModelSpec) -> Check:
    """Compare all candidates with the labelled images, or raise ScriptError."""
    import numpy as np

    files = labelled_files(folder, spec.labels)
    classes = np.array([index for index, of_class in files for _ in of_class])
    levels = levels_of([file for _, of_class in files for file in of_class], spec.images)
    losses, hits = {}, {}
    for candidate in candidates(spec.images):
        rows = _probabilities(_in_batches(scores, candidate.apply(levels)), spec)
        losses[candidate] = -np.log(np.maximum(rows[np.arange(len(rows)), classes], _LEAST))
        hits[candidate] = float((rows.argmax(axis=1) == classes).mean())
    best = min(losses, key=lambda candidate: float(losses[candidate].mean()))
    fits = [
        Fit(candidate, float(loss.mean()), hits[candidate], is_tie(loss - losses[best]))
        for candidate, loss in losses.items()
    ]
    return Check(tuple(sorted(fits, key=lambda fit: fit.loss)), len(classes))


def is_tie(differences: Numbers) -> bool:
    """Tell whether the mean of differences per image is not settled: it could be chance."""
    if len(differences) < 2 or not differences.any():
        return True
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()) < _STANDARD_ERRORS * error


def labelled_files(folder: Path, labels: tuple[Label, ...]) -> list[tuple[int, list[Path]]]:
    """Return the index of the score and the images of each folder, or raise ScriptError.

    A folder is named after a label or a class id. Where no folder is, and there is one for each
    score, they are taken in alphabetical order, as Keras numbers the folders of a data set.
    """
    if not folder.is_dir():
        raise ScriptError(f"{folder} is not a folder; needed is one folder of images per class.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    by_name = {name: index for index, pair in enumerate(labels) for name in pair}
    unknown = [path.name for path in folders if path.name not in by_name]
    if folders and len(unknown) == len(folders) == len(labels):
        by_name, unknown = {path.name: index for index, path in enumerate(folders)}, []
    if unknown or not folders:
        named = f"{unknown[0]!r} is none" if unknown else "there are none"
        raise ScriptError(
            f"The folders in {folder} must be named after labels or class ids; {named}. "
            "--labels FILE gives the labels."
        )
    return [(by_name[path.name], pictures_in(path, PICTURES_PER_CLASS)) for path in folders]


def _in_batches(scores: Scorer, model_input: tf.Tensor) -> Numbers:
    import numpy as np

    starts = range(0, len(model_input), _BATCH)
    parts = [np.asarray(scores(model_input[start : start + _BATCH])) for start in starts]
    return np.concatenate(parts).astype(np.float64)


def _probabilities(rows: Numbers, spec: ModelSpec) -> Numbers:
    """Return probabilities of the classes that add up to 1."""
    import numpy as np

    if spec.output.activation == "none":
        return softmax(rows)
    if spec.output.activation == "raw":
        raise ScriptError("--check needs scores of classes; the model returns other values (raw).")
    return np.asarray(rows / np.maximum(rows.sum(axis=1, keepdims=True), _LEAST))
