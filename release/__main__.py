"""``make release``: write sdist, wheel, SBOM, licences and SHA256SUMS of the last commit.

The folder ``dist`` holds nothing else afterwards.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from model_catalog.installation import PACKAGE
from model_catalog.version import VERSION
from release import archives, licences, packages
from release.commands import ROOT, ReleaseError, output
from release.sbom import sbom

DIST: Final = ROOT / "dist"
SUMS: Final = "SHA256SUMS"


def main() -> int:
    """Write all files of the release; return 1 if a step fails."""
    try:
        _refuse_changes()
        release(DIST)
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write((DIST / SUMS).read_text(encoding="utf-8"))
    return 0


def _refuse_changes() -> None:
    changed = output(["git", "status", "--porcelain"]).strip()
    if changed:
        raise ReleaseError(f"A release is made of the last commit; commit first:\n{changed}")


def release(folder: Path) -> None:
    """Write the files of a release into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    epoch = archives.last_commit()
    with tempfile.TemporaryDirectory() as temporary:
        made = archives.build(archives.checkout(Path(temporary)), folder, epoch)
    output([sys.executable, "-m", "twine", "check", "--strict", *made])
    known = packages.read()
    name = f"{PACKAGE}-{VERSION}"
    (folder / f"{name}.cdx.json").write_text(sbom(known, epoch), encoding="utf-8")
    (folder / f"{name}-licences.md").write_text(licences.text(known), encoding="utf-8")
    (folder / SUMS).write_text(sums(folder), encoding="utf-8")


def sums(folder: Path) -> str:
    """Return a line for each file, as ``sha256sum --check`` reads them."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    )


if __name__ == "__main__":
    sys.exit(main())
