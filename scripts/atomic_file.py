"""Replace files in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft that takes the place of the file when the block ends well.

    The file is there whole or as it was before, also after a crash. It keeps its mode.
    """
    path = path.resolve()  # a link stays a link
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(number)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(path.stat().st_mode & 0o777 if path.exists() else _default_mode())
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.writelines(parts)


def _default_mode() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask
