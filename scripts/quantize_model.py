"""Quantise an export to int8 and publish the result as its next version.

    python scripts/quantize_model.py my_image_classifier/1 --calibration photos --holdout others

The next version has the same SavedModel, with the int8 form for OpenVINO and a report beside it.
It is published only if int8 agrees with f32 on images that were not used for calibration, and if
it is faster here. The same seed and images give the same bytes of the int8 form.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.quantization import INT8, QuantizationReport
from scripts import command_line, quiet_tensorflow
from scripts.errors import ScriptError


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Quantise the version that the command line names; exit codes 0 done, 1 failed or refused."""
    options = parser(prog).parse_args(argv)
    return command_line.run(lambda: _run(options))


def parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Quantise an export to int8 and publish it as the next version."
    )
    parser.add_argument(
        "version", type=Path, metavar="VERSION_FOLDER", help="such as my_image_classifier/1"
    )
    _add_pictures(parser)
    _add_limits(parser)
    return parser


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add the images of the calibration and of the comparison with f32."""
    add = parser.add_argument
    add(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="images like those that the model will see, some hundreds; by default photographs "
        "that come with the project",
    )
    add(
        "--holdout",
        type=Path,
        metavar="FOLDER",
        help="other such images, for the comparison with f32; by default a quarter of those for "
        "calibration",
    )
    add(
        "--images",
        type=command_line.count,
        default=300,
        help="images for calibration, and as many for the comparison; where a folder has fewer, "
        "parts of its images are added (%(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of the choice of parts (%(default)s)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Add what int8 must reach to be published."""
    add = parser.add_argument
    add(
        "--min-agreement",
        type=_fraction,
        default=0.99,
        help="fraction of images with the same first class as in f32, of those where f32 is sure "
        "by 0.05; below it nothing is written (%(default)s)",
    )
    add(
        "--min-speedup",
        type=_ratio,
        default=1.15,
        help="how many times as fast as the fastest other precision int8 must be (%(default)s)",
    )


def _fraction(text: str) -> float:
    return _number(text, 1.0, "0 to 1")


def _ratio(text: str) -> float:
    return _number(text, sys.float_info.max, "a number from 0")


def _number(text: str, most: float, allowed: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; allowed is {allowed}")
    return number


def _run(options: argparse.Namespace) -> None:
    """Quantise, show the table, and publish or refuse."""
    from scripts.quantization import job, networks, views

    quiet_tensorflow.require()
    networks.require()
    version = options.version.resolve()
    job.spec_of(version)  # before the seconds that TensorFlow takes
    quiet_tensorflow.start()
    result = job.quantize(
        version,
        job.QuantizeOptions(
            calibration=options.calibration or views.SHIPPED,
            holdout=options.holdout,
            images=options.images,
            seed=options.seed,
            min_agreement=options.min_agreement,
            min_speedup=options.min_speedup,
        ),
        print,
    )
    for line in table(result.report):
        print(line)
    reasons = list(job.refusals(result.report))
    if reasons:
        raise ScriptError(f"No version is written. {' '.join(reasons)}")
    print(f"published {job.publish(result)}")
    print("note: the embedded model server runs it with --precision int8 or auto")


def table(report: QuantizationReport) -> Iterator[str]:
    """Yield the lines that show a report."""
    found = report.comparison
    images = f"{report.calibration_images} images from {_files(report.calibration_pictures)}"
    speeds = ", ".join(f"{name} {rate:g}" for name, rate in report.images_per_second.items())
    rows = {
        "calibration": images,
        "comparison": f"{found.images} images from {_files(report.comparison_pictures)}",
        "same first class as f32": f"{found.agreement:.1%} of the {found.sure} sure images"
        f", {found.agreement_of_all:.1%} of all",
        "change of a score": f"at most {found.largest_change:.3f}, mean {found.mean_change:.6f}",
        "images per second": f"{speeds}; {INT8} is {report.speedup:.2f} times the next",
        "higher precision": ", ".join(report.kept) or "none",
        "method": report.method,
    }
    width = max(map(len, rows))
    yield from (f"{name:{width}}  {text}" for name, text in rows.items())


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


if __name__ == "__main__":
    sys.exit(main())
