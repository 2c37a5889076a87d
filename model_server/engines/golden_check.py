"""Compare the scores of a loaded export with those that its source model gave.

The export's folder holds a few golden images with their scores (``model_catalog/golden.py``).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from model_catalog.errors import CatalogError, GoldenError
from model_catalog.golden import Golden, read_golden
from model_catalog.quantization import allowed_drift
from model_catalog.spec import InputSpec
from model_server.engines.export_model import read_spec
from model_server.engines.protocol import LoadedModel
from model_server.errors import DeadlineExceeded, FailedPrecondition
from serving_api.dtypes import string_array

logger = logging.getLogger(__name__)

_PIXELS: Final = "pixels"


def require_golden_scores(model: LoadedModel, path: Path) -> None:
    """Raise FailedPrecondition if the model's scores are too far from the golden ones.

    More drift is allowed where the engine computes with numbers of 16 or 8 bits. A version without
    golden images, or whose runs take too long, is not checked. Raises a ModelServerError if a run
    fails.
    """
    spec = read_spec(path)
    golden = None if spec is None or spec.input is None else _golden(path, spec.input)
    if golden is None:
        return
    try:
        allowed = allowed_drift(path, golden, model.engine.partition("precision=")[2])
        drift = golden.drift([_scores(model, picture.pixels) for picture in golden.pictures])
    except CatalogError as error:
        raise FailedPrecondition(str(error)) from error
    except DeadlineExceeded as error:
        logger.warning("The scores of %s are not checked: %s", path, error.message)
        return
    if drift > allowed:
        raise FailedPrecondition(
            f"Its scores of the golden images differ by up to {drift:.2g} from those of the"
            f" exported model; allowed is {allowed:g}."
        )


def _golden(path: Path, images: InputSpec) -> Golden | None:
    try:
        return read_golden(path, images)
    except GoldenError as error:
        logger.warning("The scores of %s are not checked: %s", path, error)
        return None


def _scores(model: LoadedModel, pixels: bytes) -> list[float]:
    """Run one image at a time: engines keep the memory of their largest run."""
    outputs = model.run(_PIXELS, {_PIXELS: string_array([pixels])})
    scores: list[float] = outputs["scores"][0].tolist()
    return scores
