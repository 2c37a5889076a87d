"""Quantise a version, compare int8 with f32, and publish the result as the next version."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_catalog import quantization
from model_catalog.golden import drift, read_golden
from model_catalog.quantization import INT8, QuantizationReport
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts.errors import ScriptError
from scripts.quantization import networks, views
from scripts.quantization.comparison import compare, is_sure, probabilities, speeds
from scripts.version_folders import new_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Levels = NDArray[np.uint8]
    Scores = NDArray[np.float32]

#: How much further than in the comparison golden scores may be on another processor.
_MARGIN: Final = 1.5
#: The least that is allowed for golden scores.
_LEAST_TOLERANCE: Final = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeOptions:
    """What the command line says."""

    calibration: Path = views.SHIPPED
    """Folder of images like those that the model will see."""

    holdout: Path | None = None
    """Folder of other such images; None keeps some of the calibration's for the comparison."""

    images: int = 300
    """Images of the calibration, and of the comparison; views of the files fill them up."""

    seed: int = 0
    min_agreement: float = 0.99
    min_speedup: float = 1.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The int8 form of a version and what was measured; not published yet."""

    version: Path
    model: Any
    """The openvino.Model."""

    report: QuantizationReport


def quantize(
    version: Path, options: QuantizeOptions, say: Callable[[str], object] = lambda _: None
) -> Result:
    """Return the int8 form of a version, or raise ScriptError if it has none.

    Where plain quantisation agrees with f32 too seldom, accuracy-aware quantisation is tried.
    """
    spec = spec_of(version)
    files = views.split(options.calibration, options.holdout, options.images)
    job = _Job(version, spec, options, *files)
    plain = job.measured(job.plain(), "plain")
    if plain.report.comparison.agreement >= options.min_agreement:
        return plain
    say(
        f"int8 agrees with f32 on {plain.report.comparison.agreement:.1%} of the sure images, which"
        " is too seldom; accuracy-aware quantisation is tried"
    )
    careful = job.measured(job.careful(), "accuracy-aware")
    return max(careful, plain, key=lambda result: result.report.comparison.agreement)


def publish(result: Result) -> Path:
    """Write the next version: a copy with the int8 form and the report; return its folder."""
    ours = shutil.ignore_patterns(quantization.FOLDER.name, quantization.REPORT_FILE.name)
    with new_version(result.version.parent) as draft:
        shutil.copytree(result.version, draft.folder, ignore=ours, dirs_exist_ok=True)
        (draft.folder / quantization.FOLDER).mkdir(parents=True)
        networks.save(result.model, draft.folder / quantization.GRAPH_FILE)
        weights = draft.folder / quantization.WEIGHTS_FILE
        size = {**result.report.size, INT8: weights.stat().st_size}
        report = replace(result.report, size=size).to_json()
        (draft.folder / quantization.REPORT_FILE).write_text(report + "\n", encoding="utf-8")
    return draft.published


def refusals(report: QuantizationReport) -> Iterator[str]:
    """Yield one sentence for each reason not to use the int8 form."""
    found = report.comparison
    if found.agreement < report.min_agreement:
        yield (
            f"int8 and f32 have the same first class for {found.agreement:.1%} of the"
            f" {found.sure} images where f32 is sure; needed are {report.min_agreement:.1%}"
            " (--min-agreement)."
        )
    if report.speedup < report.min_speedup:
        yield (
            f"int8 is {report.speedup:.2f} times as fast as the fastest other precision here;"
            f" needed is {report.min_speedup:g} times (--min-speedup)."
        )


def spec_of(version: Path) -> ModelSpec:
    """Return the spec of an export that can be quantised, or raise ScriptError."""
    if not version.name.isdecimal() or not (version / "saved_model.pb").is_file():
        raise ScriptError(
            f"{version} is no version folder with a SavedModel, such as my_image_classifier/1."
        )
    try:
        spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    except FileNotFoundError as error:
        raise ScriptError(
            f"{version} has no {SPEC_FILE}: only exports of this project are quantised."
        ) from error
    if spec.input is None or spec.task != "classification" or spec.output.activation == "raw":
        raise ScriptError(f"{version} is no classifier of images; only those are quantised.")
    return spec


class _Job:
    """The images and networks of one version."""

    def __init__(
        self,
        version: Path,
        spec: ModelSpec,
        options: QuantizeOptions,
        calibration: Sequence[Path],
        comparison: Sequence[Path],
    ) -> None:
        self._version, self._spec, self._options = version, spec, options
        self._files = calibration, comparison
        count, seed = options.images, options.seed
        self._calibration = self._levels("calibration", calibration, count, seed)
        self._comparison = self._levels("comparison", comparison, count, seed + 1)
        self._f32 = networks.compiled(networks.read(version), "f32")
        self._expected = self._scores(self._f32, self._comparison)
        self._golden = read_golden(version, spec.images)
        self._require_small_drift()

    def plain(self) -> Any:  # noqa: ANN401 - an openvino.Model
        return networks.quantized(
            networks.read(self._version), self._calibration_input, len(self._calibration)
        )

    def careful(self) -> Any:  # noqa: ANN401 - an openvino.Model
        import numpy as np

        activation = self._spec.output.activation
        rows = probabilities(self._scores(self._f32, self._calibration), activation)
        classes, sure = rows.argmax(axis=1), is_sure(rows)

        def judge(scores: Scores, numbers: Sequence[int]) -> NDArray[np.float64]:
            is_right = (scores.argmax(axis=1) == classes[numbers]) | ~sure[numbers]
            return np.asarray(is_right, np.float64)

        max_drop = (1 - self._options.min_agreement) / 2
        return networks.quantized_with_care(
            networks.read(self._version),
            self._calibration_input,
            len(self._calibration),
            judge,
            max_drop,
        )

    def measured(self, model: Any, method: str) -> Result:  # noqa: ANN401 - an openvino.Model
        """Compare the int8 form with f32, in scores and speed."""
        int8 = networks.compiled_int8(model)
        received = self._scores(int8, self._comparison)
        comparison = compare(self._expected, received, self._spec.output.activation)
        if not comparison.sure:
            raise ScriptError(
                "f32 is not sure of the class of any image of the comparison; name a folder of"
                " images of the model's classes with --holdout."
            )
        per_second, speedup = self._speeds(int8)
        options = self._options
        report = QuantizationReport(
            calibration_pictures=len(self._files[0]),
            calibration_images=len(self._calibration),
            comparison_pictures=len(self._files[1]),
            comparison=comparison,
            golden_tolerance=self._golden_tolerance(int8, received),
            images_per_second=per_second,
            speedup=speedup,
            size={"f32": _size(self._version / "variables")},
            kept=networks.in_higher_precision(model),
            method=method,
            seed=options.seed,
            min_agreement=options.min_agreement,
            min_speedup=options.min_speedup,
            processor=networks.processor(),
            **networks.versions(),
        )
        return Result(version=self._version, model=model, report=report)

    def _levels(self, what: str, files: Sequence[Path], count: int, seed: int) -> Levels:
        from tqdm import tqdm

        contents = views.contents(files, count, seed)
        shown = tqdm(contents, f"images for {what}", count, unit="image", disable=None)
        return views.levels_of(shown, self._spec.images)

    def _calibration_input(self, number: int) -> NDArray[np.float32]:
        return views.scaled(self._calibration[number : number + 1], self._spec.images)

    def _scores(self, network: Any, levels: Levels) -> Scores:  # noqa: ANN401 - a CompiledModel
        starts = range(0, len(levels), networks.BATCH)
        parts = (levels[start : start + networks.BATCH] for start in starts)
        return networks.scores(network, (views.scaled(part, self._spec.images) for part in parts))

    def _speeds(self, int8: Any) -> tuple[dict[str, float], float]:  # noqa: ANN401
        from tqdm import tqdm

        model = networks.read(self._version)
        nets = {name: networks.compiled(model, name) for name in networks.float_precisions()}
        nets[INT8] = int8
        batch = views.scaled(self._comparison[: networks.BATCH], self._spec.images)
        runs = {name: _run(network, batch) for name, network in nets.items()}
        with tqdm(desc="speed", unit="round", disable=None) as shown:
            return speeds(runs, len(batch), shown.update)

    def _golden_tolerance(self, int8: Any, received: Scores) -> float:  # noqa: ANN401
        rows = zip(self._expected.tolist(), received.tolist(), strict=True)
        changes = [drift(expected, row) for expected, row in rows]
        changes.append(self._golden_drift(int8))
        return max(_LEAST_TOLERANCE, _MARGIN * max(changes))

    def _golden_drift(self, network: Any) -> float:  # noqa: ANN401 - a CompiledModel
        """Return the drift of the golden images; 0 where the version has none."""
        import numpy as np

        if self._golden is None:
            return 0.0
        spec = self._spec.images
        shape = (-1, spec.height, spec.width, spec.channels)
        pixels = b"".join(picture.pixels for picture in self._golden.pictures)
        levels = np.frombuffer(pixels, np.uint8).reshape(shape)
        return self._golden.drift(self._scores(network, levels).tolist())

    def _require_small_drift(self) -> None:
        """Raise ScriptError if OpenVINO computes other golden scores in f32 than the export."""
        found = self._golden_drift(self._f32)
        if self._golden is not None and found > self._golden.tolerance:
            raise ScriptError(
                f"OpenVINO computes other scores in f32 than the exported model (they differ by up"
                f" to {found:.2g}), so an int8 form would not be used."
            )


def _run(network: Any, batch: NDArray[np.float32]) -> Callable[[], object]:  # noqa: ANN401
    return lambda: network([batch])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
