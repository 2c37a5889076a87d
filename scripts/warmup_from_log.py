"""Take the newest requests of a request log as the warm-up requests of a version.

    python scripts/warmup_from_log.py /var/log/serving/digits models/digits/3

replaces ``models/digits/3/assets.extra/tf_serving_warmup_requests``. The log is written by the
embedded model server; its prefix is the ``filename_prefix`` of the model's ``logging_config``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    # A script that is run by its path uses the project it lies in, wherever that was moved to.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_catalog.graph_files import FILES
from model_catalog.request_logs import log_files, whole_records
from scripts import command_line
from scripts.errors import ScriptError
from scripts.warmup_requests import WARMUP_FILE

#: TensorFlow Serving refuses a version with more warm-up requests.
MAX_COUNT = 1000
_COUNT = 100
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt", *FILES.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Write the warm-up requests; exit codes 0 done, 1 failed, 2 wrong usage."""
    options = parser().parse_args(argv)
    return command_line.run(
        lambda: write_from_log(options.prefix, options.version, options.count, options.model)
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Take the newest requests of a request log as warm-up requests of a version."
    )
    add = parser.add_argument
    add("prefix", help="filename_prefix of the request log")
    add("version", type=Path, help="folder of the version")
    add("--count", type=_count, default=_COUNT, help="number of requests (%(default)s)")
    add("--model", help="name of the model, if the log has requests of several ones")
    return parser


def _count(text: str) -> int:
    count = command_line.count(text)
    if count > MAX_COUNT:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; allowed is 1 to {MAX_COUNT}")
    return count


def write_from_log(
    prefix: str, version: Path, count: int = _COUNT, model: str | None = None
) -> int:
    """Replace the warm-up requests of a version; return their number.

    Raises ScriptError if the folder is no version, or the log has no requests.
    """
    if not any((version / name).is_file() for name in _GRAPHS):
        raise ScriptError(
            f"{version} is no version of a model: it has none of {', '.join(_GRAPHS)}."
        )
    records = newest_records(prefix, count, model)
    if not records:
        whose = f" of model {model}" if model else ""
        raise ScriptError(f"There are no requests{whose} in files with the prefix {prefix}.")
    file = version / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    _replace(file, b"".join(records))
    print(f"wrote {len(records)} warm-up requests to {file}")
    return len(records)


def newest_records(prefix: str, count: int, model: str | None = None) -> list[bytes]:
    """Return the newest records of a request log with their checksums, the oldest first."""
    newest: list[bytes] = []
    for path in reversed(log_files(prefix)):
        for record in reversed(list(_usable(path.read_bytes(), model))):
            newest.append(record)
            if len(newest) == count:
                return newest[::-1]
    return newest[::-1]


def _usable(data: bytes, model: str | None) -> Iterator[bytes]:
    """Yield the records of a model that a server can parse: one that it cannot fails the load."""
    from google.protobuf.message import DecodeError

    from serving_api.messages import message

    for record, content in whole_records(data):
        try:
            log = message("PredictionLog").FromString(content)
        except DecodeError:
            continue
        if model in (None, log.log_metadata.model_spec.name):
            yield record


def _replace(file: Path, content: bytes) -> None:
    """Write the whole file or nothing: a server may be about to read it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
        mode = file.parent.stat().st_mode & 0o666
        os.chmod(name, mode)  # whoever reads the other files of the version reads this one too
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
