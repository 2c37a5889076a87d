"""Start TensorFlow without the notes that it writes to stderr while it is being imported."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Import Keras on TensorFlow; what they log meanwhile is lost, what they raise is not."""
    # Another backend may be configured in the home folder, but only TensorFlow writes SavedModels.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Level 3 silences all but fatal notes later on; those of the import itself obey no variable.
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
