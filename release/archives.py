"""Build the sdist and the wheel so that the same source gives the same bytes.

What a build may take from its surroundings is fixed: the umask and the time zone, the version of
setuptools (constraints.txt), and all times, which are those of the last commit. setuptools writes
the wheel so by itself. The sdist gets times, owners and an order of its own from the file system,
so it is packed anew; the wheel is then built from it.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from release.commands import ROOT, output

_EXECUTABLE: Final = 0o100
_BUILD: Final = (sys.executable, "-m", "build", "--no-isolation")


def last_commit(root: Path = ROOT) -> int:
    """Return the Unix time of the last commit."""
    return int(output(["git", "log", "-1", "--format=%ct"], root))


def checkout(folder: Path, root: Path = ROOT) -> Path:
    """Write the files of the last commit, and no others, into a folder, and return it."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        output(["git", "archive", "--format=tar", f"--output={archive.name}", "HEAD"], root)
        with tarfile.open(archive.name) as tar:
            tar.extractall(folder, filter="data")
    return folder


def build(source: Path, folder: Path, epoch: int) -> tuple[Path, Path]:
    """Build the sdist of a source folder and the wheel of the sdist; return both paths."""
    with tempfile.TemporaryDirectory() as temporary:
        first, unpacked = Path(temporary, "sdist"), Path(temporary, "unpacked")
        output([*_BUILD, "--sdist", "--outdir", first, source], env=_environment(epoch))
        (made,) = first.glob("*.tar.gz")
        sdist = folder / made.name
        sdist.write_bytes(packed_anew(made.read_bytes(), epoch))
        with tarfile.open(sdist) as tar:
            tar.extractall(unpacked, filter="data")
        (inner,) = unpacked.iterdir()
        output([*_BUILD, "--wheel", "--outdir", folder, inner], env=_environment(epoch))
    (wheel,) = folder.glob(f"{made.name.removesuffix('.tar.gz')}-*.whl")
    return sdist, wheel


def _environment(epoch: int) -> dict[str, str]:
    fixed = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return dict(os.environ) | fixed | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": ""}


def packed_anew(sdist: bytes, epoch: int) -> bytes:
    """Return an sdist with the same files in the order of their names, with one time for all.

    They belong to root, and only whether a file can be executed is kept of its mode.
    """
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as old,
        gzip.GzipFile(filename="", mode="wb", fileobj=made, mtime=epoch) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda found: found.name):
            new.addfile(_plain(member, epoch), old.extractfile(member))
    return made.getvalue()


def _plain(member: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    plain = tarfile.TarInfo(member.name)
    plain.type, plain.size, plain.mtime = member.type, member.size, epoch
    plain.mode = 0o755 if member.isdir() or member.mode & _EXECUTABLE else 0o644
    return plain
