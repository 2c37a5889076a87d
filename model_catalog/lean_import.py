"""Import TensorFlow without Keras, where only SavedModels are loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Both packages that TensorFlow may import as its Keras.
KERAS = ("keras", "tf_keras")


@contextmanager
def without_keras() -> Iterator[None]:
    """Keep the first import of TensorFlow from importing Keras, which takes half of its time.

    TensorFlow works without Keras. A Keras that has been imported before stays as it is, and after
    the block Keras can be imported.
    """
    hidden = [name for name in KERAS if name not in sys.modules]
    try:
        for name in hidden:
            sys.modules[name] = None  # type: ignore[assignment]  # the import system's own sign
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
