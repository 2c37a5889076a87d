"""Read and write tables of results as CSV, JSON Lines and Parquet, chosen by the file's suffix."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from model_catalog.installation import install_command
from scripts import atomic_file
from scripts.classification.rows import Row, columns, flat, from_flat, from_json, to_json
from scripts.errors import ScriptError

_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Format:
    """One format of a table."""

    read: Callable[[Path], list[Row]]
    """Raises ValueError for a file of another kind."""

    write: Callable[[Path, Sequence[Row], int], None]
    """Takes the path, the rows and the number of classes per row."""


def format_of(path: Path) -> Format:
    """Return the format for a file name; raise ScriptError if there is none or it is missing."""
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise ScriptError(
            f"{path.name} is not allowed as --out; allowed is a name that ends in "
            f"{', '.join(_FORMATS)}."
        )
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise ScriptError(
            f"Parquet files need pyarrow, which is not installed; run {install_command('parquet')},"
            " or choose a name that ends in .csv or .jsonl."
        )
    return found


def read(path: Path) -> list[Row]:
    """Return the rows of an earlier run, none if there is no file; raise ScriptError."""
    chosen = format_of(path)
    try:
        return chosen.read(path) if path.exists() else []
    except ValueError as error:
        raise ScriptError(
            f"{path} exists and is no table of results ({error}); name another file with --out."
        ) from error


def write(path: Path, rows: Sequence[Row], top_k: int) -> None:
    """Write the table in one step."""
    with atomic_file.replacing(path) as draft:
        format_of(path).write(draft, rows, top_k)


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if not {"file", "model", "error"} <= set(
                reader.fieldnames or ["file", "model", "error"]
            ):
                raise ValueError("its columns are others")
            return [from_flat(values) for values in reader]
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _write_csv(path: Path, rows: Sequence[Row], top_k: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns(top_k), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat(row, top_k) for row in rows)


def _read_jsonl(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [from_json(line) for line in file if line.strip()]


def _write_jsonl(path: Path, rows: Sequence[Row], _top_k: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{to_json(row)}\n" for row in rows)


def _read_parquet(path: Path) -> list[Row]:
    from pyarrow import parquet

    table = parquet.read_table(path)  # its errors are ValueErrors
    return [from_flat(values) for values in table.to_pylist()]


def _write_parquet(path: Path, rows: Sequence[Row], top_k: int) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {"version": pyarrow.int64()}
    schema = pyarrow.schema(
        (
            name,
            pyarrow.float64() if name.startswith("score_") else types.get(name, pyarrow.string()),
        )
        for name in columns(top_k)
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, max(len(rows), 1), _CHUNK):
            chunk = [flat(row, top_k) for row in rows[start : start + _CHUNK]]
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))


_FORMATS = {
    ".csv": Format(_read_csv, _write_csv),
    ".jsonl": Format(_read_jsonl, _write_jsonl),
    ".parquet": Format(_read_parquet, _write_parquet),
}
