"""Download InceptionV3's ImageNet weights into Keras's cache, with time-outs and a checksum."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import quiet_tensorflow, reachability
from scripts.errors import ScriptError

_CONNECT_S = 5.0
#: A download that receives no bytes for this long has stalled.
_STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """Address and checksum of the weights; the defaults are those of keras.applications."""

    url: str = (
        "https://storage.googleapis.com/tensorflow/keras-applications/"
        "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
    )
    md5: str | None = "9a0d58056eeedaa3f26cb7ebd46da564"
    """None skips the check."""

    @property
    def folder(self) -> str:
        """The address without the name of the file."""
        return self.url.rpartition("/")[0]


class WeightsError(ScriptError):
    """The ImageNet weights could not be downloaded; ``problem`` is the reason."""

    def __init__(self, url: str, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"The ImageNet weights could not be downloaded from {url} ({problem}). Try again with "
            "internet access, pass a copy of the file with --weights PATH, or use random weights "
            "with --weights none."
        )


def imagenet_weights(weights_file: WeightsFile, *, stall_s: float = _STALL_S) -> Path:
    """Return the file of the ImageNet weights; download it unless it is in Keras's cache."""
    problem = problem_of(weights_file)
    if problem is not None:
        raise WeightsError(weights_file.url, problem)
    home, file = _cached(weights_file)
    quiet_tensorflow.start()
    import keras

    with socket_timeout(stall_s):
        try:
            # Keras would use a folder in /tmp in place of a missing one.
            home.mkdir(parents=True, exist_ok=True)
            keras.utils.get_file(
                origin=weights_file.url,
                cache_dir=home,
                cache_subdir="models",
                file_hash=weights_file.md5,
            )
        except Exception as error:  # Keras raises bare Exceptions for failed downloads.
            file.unlink(missing_ok=True)
            raise WeightsError(weights_file.url, str(error)) from error
    return file


def problem_of(weights_file: WeightsFile) -> str | None:
    """Return why the weights cannot be downloaded; None when they can, or lie in Keras's cache."""
    _, file = _cached(weights_file)
    return None if file.is_file() else reachability.problem(weights_file.url, timeout_s=_CONNECT_S)


def is_cached(arch: str) -> bool:
    """Tell whether Keras's cache has a file of an architecture, by the letters of its name."""
    files = (_home() / "models").glob("*.h5")
    return any(arch.lower() in re.sub(r"[^a-z0-9]", "", file.name.lower()) for file in files)


def _home() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()


def _cached(weights_file: WeightsFile) -> tuple[Path, Path]:
    """Return Keras's folder, and the file in its cache; importing Keras would take seconds."""
    home = _home()
    return home, home / "models" / Path(weights_file.url).name


@contextmanager
def socket_timeout(timeout_s: float = _STALL_S) -> Iterator[None]:
    """Give new sockets a time-out, since Keras's own download has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout_s)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
