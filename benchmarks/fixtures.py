"""Load the models, pictures and expected answers of the benchmark; build them on first use.

Building needs TensorFlow and some minutes, for int8 also NNCF, so it runs in a separate process
(``benchmarks.prepare``, ``benchmarks.prepare_int8``). The result is kept in ``.run/bench``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / ".run" / "bench"
SIDES = {"inception": 299, "mobilenet": 192}
PICTURES = 48
#: Suffix of the name of a fixture whose version has an int8 form as well.
INT8 = "_int8"
#: The fixtures are built again when one of these files changes.
_RECIPE = ("prepare.py", "prepare_int8.py", "pictures.py", "fixtures.py")


@dataclass(frozen=True, slots=True)
class Fixture:
    """One model with its pictures and their expected classes."""

    model: str
    """The name of the model, which is also that of its folder."""

    side: int

    trained: bool
    """False for seeded random weights: the cost is the same, the labels are meaningless."""

    pictures: Sequence[bytes]
    class_ids: Sequence[str]
    """The best class of each picture, computed by TensorFlow in process."""

    @property
    def network(self) -> str:
        """The key of the network in ``SIDES``."""
        return network_of(self.model)

    @property
    def base_path(self) -> Path:
        """The folder of the model's versions."""
        return FOLDER / "models" / self.model

    @property
    def version(self) -> Path:
        """The folder of the SavedModel."""
        return self.base_path / "1"


def network_of(model: str) -> str:
    """Return the network of a fixture, which is its name without the suffix of int8."""
    return model.removesuffix(INT8)


def load(model: str) -> Fixture:
    """Return the fixture of a model; build it first where it is missing or stale.

    Raises RuntimeError if it cannot be built; the program that builds it has printed the reason.
    """
    folder = FOLDER / "expected" / model
    if _stamp(folder) != recipe():
        print(f"preparing {model} (once)", flush=True)
        module = "benchmarks.prepare_int8" if model.endswith(INT8) else "benchmarks.prepare"
        if subprocess.run([sys.executable, "-m", module, model], cwd=ROOT, check=False).returncode:
            raise RuntimeError(f"The model {model} could not be prepared.")
    expected = json.loads((folder / "expected.json").read_text())
    return Fixture(
        model=model,
        side=SIDES[network_of(model)],
        trained=expected["trained"],
        pictures=[path.read_bytes() for path in sorted(folder.glob("*.jpg"))],
        class_ids=expected["class_ids"],
    )


def save(model: str, pictures: Sequence[bytes], class_ids: Sequence[str], trained: bool) -> None:
    """Save pictures and expected answers; the JSON file is last and makes the fixture valid."""
    folder = FOLDER / "expected" / model
    shutil.rmtree(folder, ignore_errors=True)  # it may hold more pictures
    folder.mkdir(parents=True)
    for number, data in enumerate(pictures):
        (folder / f"{number:02}.jpg").write_bytes(data)
    document = {"trained": trained, "class_ids": list(class_ids), "recipe": recipe()}
    (folder / "expected.json").write_text(json.dumps(document))


def recipe() -> str:
    """Return a digest of the code that makes the fixtures."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in _RECIPE)).hexdigest()


def _stamp(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "expected.json").read_text())["recipe"])
    except (OSError, ValueError, KeyError):
        return None
