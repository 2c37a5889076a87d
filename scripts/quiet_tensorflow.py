"""Import TensorFlow without the log lines that it writes to stderr meanwhile."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Import Keras with the TensorFlow backend; log lines are discarded, exceptions are not."""
    # Keras's configuration file may name another backend, but only TensorFlow writes SavedModels.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Level 3 keeps only fatal messages later on; messages of the import itself ignore the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401 (importing it is the purpose)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
