"""Run the work on a model file of Keras 1 or 2 in a process that uses tf_keras as its Keras.

tf_keras is Keras 2, kept working on current releases of TensorFlow. In a process of its own, with
``TF_USE_LEGACY_KERAS``, also ``tensorflow.keras`` in a user's module is Keras 2.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from typing import TypeVar

from model_catalog.errors import CatalogError
from scripts import command_line, quiet_tensorflow
from scripts.errors import ScriptError

Result = TypeVar("Result")

EXTRA = "keras2"

_LEGACY = "TF_USE_LEGACY_KERAS"
#: Whether this process uses tf_keras.
_is_active = False


class NeedsTfKeras(ScriptError):
    """Keras 3 could not load a file that tf_keras may be able to load."""


def is_installed() -> bool:
    """Tell whether the package tf_keras is installed."""
    return find_spec("tf_keras") is not None


def is_active() -> bool:
    """Tell whether this process loads models with tf_keras."""
    return _is_active


def run(work: Callable[[], Result]) -> Result:
    """Return the result of the work, which must be picklable, done in a process with tf_keras."""
    sys.stdout.flush()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _start) as pool:
        try:
            return pool.submit(_done, work).result()
        except BrokenProcessPool as error:
            raise ScriptError(
                "The process that loads the model with tf_keras ended early; perhaps the memory "
                "did not suffice."
            ) from error


def _start() -> None:
    global _is_active
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ[_LEGACY] = "1"
    _is_active = True


def _done(work: Callable[[], Result]) -> Result:
    """Do the work; every expected error becomes one that can be sent to the other process."""
    try:
        quiet_tensorflow.start("tf_keras")
        return work()
    except (ScriptError, CatalogError, ImportError, OSError) as error:
        raise ScriptError(command_line.sentence(error)) from error
    finally:
        sys.stdout.flush()
