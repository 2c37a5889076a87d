"""Classify all images of folders through the gateway, into a CSV, JSON Lines or Parquet file.

    python scripts/classify.py photos --out results.csv --sheet sheet.html

An interrupted run goes on where it stopped when the same command is given again. Exit codes: 0 all
are classified, 1 failed, 2 wrong usage, 3 some could not be classified (their rows have the error),
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import command_line
from scripts.errors import ScriptError
from scripts.gateway.addresses import add_gateway_options

if TYPE_CHECKING:
    from scripts.classification.rows import Row
    from scripts.gateway.client import Choice, GatewayClient

SOME_FAILED = 3


@dataclass
class Outcome:
    """What a run has done."""

    rows: Sequence[Row] = ()
    kept: int = 0
    """Rows that an earlier run had finished."""

    @property
    def failed(self) -> int:
        """Number of images that could not be classified."""
        return sum(bool(row.error) for row in self.rows)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Classify the images that the command line names; return the exit code."""
    options = parser(prog).parse_args(argv)
    outcome = Outcome()
    code = command_line.run(lambda: classify(options, outcome))
    return SOME_FAILED if code == 0 and outcome.failed else code


def parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Classify all images of folders through the gateway. The same command goes "
        "on where an interrupted run stopped.",
        epilog="exit codes: 0 all classified, 1 failed, 2 wrong usage, 3 some images could not "
        "be classified, 130 interrupted",
    )
    add = parser.add_argument
    add("places", nargs="+", type=Path, metavar="FOLDER", help="folders of images, or image files")
    add("--out", type=Path, required=True, help="results: a .csv, .jsonl or .parquet file")
    add("--sheet", type=Path, help="also write an HTML page with a preview of each image")
    add("--model", help="name of the model (the gateway's default model)")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--version", type=int, help="number of the version (the newest one)")
    version.add_argument("--label", help="version label, such as stable")
    add("--top-k", type=command_line.count, default=5, help="classes per image (%(default)s)")
    add(
        "--parallel",
        type=command_line.count,
        default=4,
        help="requests at the same time (%(default)s)",
    )
    add("--again", action="store_true", help="classify images that are in --out already, too")
    add_gateway_options(parser)
    return parser


def classify(options: argparse.Namespace, outcome: Outcome) -> None:
    """Classify the images, write the results, and say how many there are."""
    from scripts.classification import outputs
    from scripts.classification.journal import journal_of
    from scripts.classification.rows import in_order
    from scripts.gateway.client import GatewayClient
    from scripts.gateway.pictures import find_pictures, shown_path

    files = {shown_path(path): path for path in find_pictures(options.places)}
    _require_folders(options)
    earlier = outputs.read(options.out)
    client = GatewayClient(options.url, options.api_key, connections=options.parallel)
    choice = _choice(options, client)
    with journal_of(options.out) as journal:
        rows = {row.file: row for row in (*earlier, *journal.rows())}
        require_same_run(options.out, choice, rows.values(), given=options.top_k)
        done = {row.file for row in rows.values() if not (options.again or row.error)}
        todo = {name: path for name, path in files.items() if name not in done}
        outcome.kept = len(files) - len(todo)
        try:
            for row in progress(ask_all(client, choice, todo, options.parallel), len(todo)):
                journal.add(row)
                rows[row.file] = row
        except BaseException:
            _say_how_far(options.out, files, rows)
            raise
        finally:
            client.close()
            outcome.rows = in_order(rows, list(files))
            outputs.write(options.out, outcome.rows, options.top_k)
    _finish(options, outcome, list(files))


def _require_folders(options: argparse.Namespace) -> None:
    """Raise ScriptError if the folder of an output is missing."""
    for path in filter(None, (options.out, options.sheet)):
        if not path.parent.is_dir():
            raise ScriptError(f"{path.parent} is not a folder; make it first.")


def _choice(options: argparse.Namespace, client: GatewayClient) -> Choice:
    """Ask the gateway for the model, and return what each image is asked with."""
    from scripts.gateway.client import Choice, most_classes

    model = client.required_model(options.model or client.default_model())
    return Choice(
        model=model["name"],
        version=options.version,
        label=options.label,
        top_k=min(options.top_k, most_classes(model)),
    )


def _say_how_far(out: Path, files: Collection[str], rows: Collection[str]) -> None:
    """Say how many of the images have a row when a run is interrupted."""
    print(
        f"{sum(name in rows for name in files)} of {len(files)} images are in "
        f"{out}; the same command goes on there",
        file=sys.stderr,
    )


def require_same_run(out: Path, choice: Choice, rows: Iterable[Row], *, given: int) -> None:
    """Raise ScriptError if the rows of an earlier run are of another model or length."""
    for row in rows:
        if row.model != choice.model:
            raise ScriptError(
                f"{out} has results of the model {row.model}; name another file with --out, or "
                f"--model {row.model}."
            )
        if len(row.predictions) > given:
            raise ScriptError(
                f"{out} has {len(row.predictions)} classes per image; name another file with "
                f"--out, or --top-k {len(row.predictions)}."
            )


def ask_all(
    client: GatewayClient, choice: Choice, files: dict[str, Path], parallel: int
) -> Iterator[Row]:
    """Yield the row of each image as soon as it is there."""
    from scripts.classification.bounded_map import bounded_map

    return bounded_map(partial(_ask, client, choice), files.items(), parallel)


def _ask(client: GatewayClient, choice: Choice, item: tuple[str, Path]) -> Row:
    from scripts.classification.rows import row_of_answer, row_of_error
    from scripts.gateway.client import Refused

    name, path = item
    try:
        picture = path.read_bytes()
    except OSError as error:
        return row_of_error(name, choice.model, "unreadable", error.strerror or str(error))
    try:
        return row_of_answer(name, client.predict(picture, choice))
    except Refused as error:
        return row_of_error(name, choice.model, error.code, error.detail)


def progress(rows: Iterator[Row], total: int) -> Iterable[Row]:
    """Show a progress bar on a terminal while the rows are read."""
    from tqdm import tqdm

    return tqdm(rows, total=total, unit="image", disable=None, file=sys.stderr)


def _finish(options: argparse.Namespace, outcome: Outcome, files: Sequence[str]) -> None:
    from scripts import atomic_file
    from scripts.classification.contact_sheet import contact_sheet

    asked = set(files)
    outcome.rows = [row for row in outcome.rows if row.file in asked]
    versions = sorted({row.version for row in outcome.rows if row.version is not None})
    kept = f", {outcome.kept} of them by an earlier run" if outcome.kept else ""
    failed = f"; {outcome.failed} could not be classified" if outcome.failed else ""
    print(f"{options.out}: {len(outcome.rows)} images{kept}{failed}")
    if len(versions) > 1:
        named = ", ".join(map(str, versions))
        print(f"note: the results are of the versions {named}; --again asks one for all")
    if options.sheet:
        title = f"{len(outcome.rows)} images in {options.out.name}"
        atomic_file.write_text(options.sheet, contact_sheet(title, outcome.rows))
        print(f"{options.sheet}: the contact sheet")


if __name__ == "__main__":
    sys.exit(main())
