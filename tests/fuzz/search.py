"""Search one fuzz target: ``python -m tests.fuzz.search TARGET [options of libFuzzer]``."""

from __future__ import annotations

import logging
import sys
import warnings

import atheris

#: The code whose branches are counted.
_INSTRUMENTED = ["flask_server", "model_server", "model_catalog", "serving_api", "gunicorn.http"]


def main(name: str, arguments: list[str]) -> None:
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz.catalogue import BY_NAME
    target = BY_NAME[name]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for seed in target.seeds():  # what is imported or made only once would look like new code
        target.accepts(seed)

    def examine(data: bytes) -> None:
        target.accepts(data)

    atheris.Setup([name, *arguments], examine)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
