"""Keep the finished rows of a run that may be interrupted, beside the file that they are for."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from scripts.classification.rows import Row, from_json, to_json
from scripts.errors import ScriptError


class Journal:
    """Rows that the operating system gets as soon as they are added; one run at a time."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def rows(self) -> list[Row]:
        """Return the rows of an earlier run; the last line may be cut off."""
        self._file.seek(0)
        rows = []
        for line in self._file:
            try:
                rows.append(from_json(line))
            except ValueError:
                continue
        return rows

    def add(self, row: Row) -> None:
        """Append a row."""
        self._file.write(f"{to_json(row)}\n")
        self._file.flush()


@contextmanager
def journal_of(out: Path) -> Iterator[Journal]:
    """Open the journal of an output file; it is removed when the block ends without an error.

    Raises ScriptError if another run writes to the same output.
    """
    path = out.with_name(f".{out.name}.part")
    with path.open("a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ScriptError(f"Another run writes to {out}; wait for its end.") from error
        file.seek(0, 2)
        if file.tell():
            file.write("\n")  # after a line that was cut off
        yield Journal(file)
        path.unlink(missing_ok=True)
