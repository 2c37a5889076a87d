"""Quantise a benchmark's model to int8: python -m benchmarks.prepare_int8 MODEL, with its suffix.

The version has the SavedModel of the same network without int8, so all systems of a section compute
the same model. Its pictures are those whose best class int8 does not change.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import fixtures, in_process
from benchmarks.pictures import jpegs
from benchmarks.prepare import CANDIDATES, in_batches, least_clear_of, save_clearest, scaled
from flask_server.imaging.resizing import by_pillow
from scripts import command_line
from scripts.quantization import job, networks

#: Images of the calibration; more of them change scores, and no speed.
_IMAGES = 64


def main(model: str) -> int:
    """Build everything that ``fixtures.load`` reads; exit codes 0 done, 1 failed."""
    return command_line.run(lambda: _prepare(model))


def _prepare(model: str) -> None:
    networks.require()
    plain = fixtures.load(fixtures.network_of(model))
    files = jpegs(CANDIDATES)
    classify = in_process.tensorflow(plain.version, "f32", 1)
    scores = in_batches(classify, scaled(files, plain.side, by_pillow))
    version = quantized(plain.version, fixtures.FOLDER / "models" / model, files)
    scores = least_clear_of(scores, files, plain.side, version, ("bf16", "int8"))
    save_clearest(model, files, scores, plain.trained)


def quantized(plain: Path, base_path: Path, files: Sequence[bytes]) -> Path:
    """Write version 1 below ``base_path``: a plain version with its int8 form, agreeing or not."""
    shutil.rmtree(base_path, ignore_errors=True)
    unquantized = shutil.copytree(plain, base_path / "1")
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(files):
            Path(folder, f"{number:03}.jpg").write_bytes(data)
        options = job.QuantizeOptions(
            calibration=Path(folder), images=_IMAGES, min_agreement=0, min_speedup=0
        )
        published = job.publish(job.quantize(unquantized, options))
    shutil.rmtree(unquantized)
    return published.rename(unquantized)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
