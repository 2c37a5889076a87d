"""Load the models, pictures and expected answers of the benchmark; build them on first use.

Building needs TensorFlow and half a minute, so it runs in a separate process
(``benchmarks.prepare``). The result is kept in ``.run/bench``.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / ".run" / "bench"
SIDES = {"inception": 299, "mobilenet": 192}
PICTURES = 48
#: The fixtures are built again when one of these files changes.
_RECIPE = ("prepare.py", "pictures.py", "fixtures.py")


@dataclass(frozen=True, slots=True)
class Fixture:
    """One model with its pictures and their expected classes."""

    model: str
    side: int

    trained: bool
    """False for seeded random weights: the cost is the same, the labels are meaningless."""

    pictures: Sequence[bytes]
    class_ids: Sequence[str]
    """The best class of each picture, computed by TensorFlow in process."""

    @property
    def base_path(self) -> Path:
        """The folder of the model's versions."""
        return FOLDER / "models" / self.model

    @property
    def version(self) -> Path:
        """The folder of the SavedModel."""
        return self.base_path / "1"


def load(model: str) -> Fixture:
    """Return the fixture of a model; build it first where it is missing or stale."""
    folder = FOLDER / "expected" / model
    if _stamp(folder) != recipe():
        print(f"preparing {model} (once)", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.prepare", model], cwd=ROOT, check=True)
    expected = json.loads((folder / "expected.json").read_text())
    return Fixture(
        model=model,
        side=SIDES[model],
        trained=expected["trained"],
        pictures=[path.read_bytes() for path in sorted(folder.glob("*.jpg"))],
        class_ids=expected["class_ids"],
    )


def save(model: str, pictures: Sequence[bytes], class_ids: Sequence[str], trained: bool) -> None:
    """Save pictures and expected answers; the JSON file is last and makes the fixture valid."""
    folder = FOLDER / "expected" / model
    folder.mkdir(parents=True, exist_ok=True)
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
