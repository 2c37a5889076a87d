"""The int8 form of an export: where it lies in a version folder, and the report about it.

``scripts/quantize_model.py`` writes both beside the SavedModel, which stays as it is: TensorFlow
Serving ignores them. The embedded model server runs the int8 form with OpenVINO.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_catalog.errors import CatalogError
from model_catalog.golden import TOLERANCE_16_BIT, Golden

FOLDER: Final = Path("assets.extra", "openvino_int8")
#: The graph in OpenVINO's IR format; its weights are in ``WEIGHTS_FILE``.
GRAPH_FILE: Final = FOLDER / "model.xml"
WEIGHTS_FILE: Final = FOLDER / "model.bin"
REPORT_FILE: Final = Path("assets.extra", "quantization.json")
FORMAT: Final = 1

INT8: Final = "int8"
BF16: Final = "bf16"


class QuantizationError(CatalogError):
    """The report about an int8 form cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How the scores of int8 differ from those of f32 on images not used for calibration."""

    images: int
    """Number of images that were compared."""

    sure: int
    """Images where f32's first two scores differ by 0.05 or more."""

    agreement: float
    """Fraction of the sure images with the same first class."""

    agreement_of_all: float
    """Fraction of all images with the same first class."""

    largest_change: float
    """Largest change of a score; scores are probabilities here."""

    mean_change: float
    """Mean change of all scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizationReport:
    """What quantising did to a model, and how fast it is on the machine that quantised it."""

    calibration_pictures: int
    """Image files that the calibration images come from."""

    calibration_images: int
    """Images of the calibration, views of the files included."""

    comparison_pictures: int
    """Image files that the compared images come from."""

    comparison: Comparison

    golden_tolerance: float
    """Largest difference of golden scores that int8 explains."""

    images_per_second: Mapping[str, float]
    """Speed by precision, in batches of 8; bf16 only where the processor has it."""

    speedup: float
    """Speed of int8 divided by that of the fastest other precision, measured alternately."""

    size: Mapping[str, int]
    """Bytes of the weights: ``f32`` of the SavedModel, ``int8`` of the IR."""

    kept: tuple[str, ...] = ()
    """Operations with weights that compute in higher precision."""

    method: str = "plain"
    """``plain``, or ``accuracy-aware`` where plain quantisation agreed too seldom."""

    seed: int = 0
    min_agreement: float
    min_speedup: float
    processor: str = ""
    nncf: str = ""
    openvino: str = ""

    def is_fastest_of(self, precisions: Collection[str]) -> bool:
        """Tell whether int8 was measured to be the fastest of the precisions of a processor.

        False if one of them was not measured.
        """
        others = set(precisions) - {INT8}
        speeds = self.images_per_second
        return others <= set(speeds) and self.speedup >= self.min_speedup

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({"format": FORMAT} | dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> QuantizationReport:
        """Read what ``to_json`` wrote, or raise QuantizationError."""
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("format") != FORMAT:
                raise ValueError(f"the format is not {FORMAT}")
            comparison = Comparison(**fields.pop("comparison"))
            report = cls(**fields | {"comparison": comparison, "kept": tuple(fields["kept"])})
            numbers = (report.golden_tolerance, report.speedup, report.min_speedup)
            if not all(map(math.isfinite, (*numbers, *report.images_per_second.values()))):
                raise ValueError("a number is not finite")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise QuantizationError(f"{REPORT_FILE} is invalid: {error}") from error
        return report


def read_report(version: Path) -> QuantizationReport | None:
    """Return the report in a version folder; None where there is none.

    Raises QuantizationError for a report that cannot be used.
    """
    try:
        text = (version / REPORT_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise QuantizationError(f"{version / REPORT_FILE}: {error.strerror}.") from error
    return QuantizationReport.from_json(text)


def allowed_drift(version: Path, golden: Golden, precision: str | None) -> float:
    """Return how far the scores of golden images may be from those of the exported model.

    Computing in 16 or 8 bits changes scores: in 8 bits by what the version's report says. Raises
    QuantizationError for a report that cannot be used.
    """
    if precision == BF16:
        return TOLERANCE_16_BIT
    report = read_report(version) if precision == INT8 else None
    return golden.tolerance if report is None else report.golden_tolerance
