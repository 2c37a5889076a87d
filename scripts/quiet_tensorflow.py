"""Start TensorFlow without the notes that it writes to stderr while it is being imported."""

from __future__ import annotations

import os
import sys


def start() -> None:
    """Import TensorFlow and Keras; what they log is lost, what they raise is not."""
    # Level 3 silences all but fatal notes later on; those of the import itself obey no variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras
        import tensorflow  # noqa: F401 (importing it is the purpose)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
    keras.utils.disable_interactive_logging()
