"""Import TensorFlow without the log lines that it writes to stderr meanwhile."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.util import find_spec


def require() -> None:
    """Raise ImportError unless TensorFlow is installed; it is not imported."""
    if find_spec("tensorflow") is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")


def start(package: str = "keras") -> None:
    """Import Keras with the TensorFlow backend; log lines are discarded, exceptions are not.

    ``package`` is what is imported: ``keras`` is Keras 3, ``tf_keras`` is Keras 2, and
    ``tensorflow`` is enough for SavedModels.
    """
    # Keras's configuration file may name another backend, but only TensorFlow writes SavedModels.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # tf_keras warns of layers that are slow without a graphics card.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Level 3 keeps only fatal messages later on; messages of the import itself ignore the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        importlib.import_module(package)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
