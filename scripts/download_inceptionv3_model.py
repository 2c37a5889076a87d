"""Download InceptionV3 with its ImageNet weights from keras.applications and save it as one file.

    python scripts/download_inceptionv3_model.py

is ``scripts/download_model.py --arch InceptionV3`` and takes its other options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import download_model

if TYPE_CHECKING:
    import keras

    from scripts.imagenet_weights import WeightsFile

_ARCH = "InceptionV3"


def main(argv: Sequence[str] | None = None) -> int:
    """Save the model; exit codes 0 done, 1 failed, 2 wrong usage."""
    return download_model.main(["--arch", _ARCH, *(sys.argv[1:] if argv is None else argv)])


def inception_v3(weights: str, weights_file: WeightsFile) -> keras.Model:
    """Return InceptionV3; ``weights`` is ``imagenet``, ``none`` (random) or the path of a file."""
    return download_model.application(_ARCH, weights, weights_file)


if __name__ == "__main__":
    sys.exit(main())
