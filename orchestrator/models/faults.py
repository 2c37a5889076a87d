"""The faults of a model for the Serving of a run, which ``start`` and ``doctor`` name."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import chain

from model_catalog.fault import Fault
from model_catalog.folders import faults
from model_catalog.model_entry import ModelEntry
from model_catalog.version_checks import (
    faults_of_genuine_server,
    random_faults,
    scaling_faults,
)
from orchestrator.serving_command import GENUINE


def model_faults(kind: str, entry: ModelEntry) -> Iterator[Fault]:
    """Return the faults of a model in its folders and on this kind of Serving, each once."""
    found = chain(_readable(entry, faults(entry)), version_faults(kind, entry))
    yield from dict.fromkeys(found)


def version_faults(kind: str, entry: ModelEntry) -> Iterator[Fault]:
    """Return the faults in the versions of a model for this kind of Serving."""
    if kind in GENUINE:
        yield from _readable(entry, faults_of_genuine_server(entry))
    yield from random_faults(entry)
    yield from scaling_faults(entry)


def _readable(entry: ModelEntry, found: Iterable[Fault]) -> Iterator[Fault]:
    """Return the faults up to a folder or file that cannot be read, which is a fault itself."""
    try:
        yield from found
    except OSError as error:
        path = error.filename or entry.base_path
        fix = f"chmod -R a+rX {shlex.quote(str(entry.base_path))}"
        yield Fault(f"{path} cannot be read ({error.strerror})", fix)
