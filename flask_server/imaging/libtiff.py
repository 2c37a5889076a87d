"""Silence libtiff, which writes each fault of a file to the standard error stream, and ask it.

The gateway's log is JSON lines on the same stream, and a damaged image has its own error. The
other decoders write nothing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import PIL

_HANDLERS = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")


def silence() -> None:
    """Take the message handlers away from the libtiff that Pillow uses; no libtiff, no effect."""
    for path in _libraries():
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(path)
            for name in _HANDLERS:
                set_handler = getattr(library, name)
                set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                set_handler(None)


def decodable(methods: Iterable[int]) -> frozenset[int]:
    """Return those compressions that the libtiff that Pillow uses decodes; all if it is missing."""
    for path in _libraries():
        with suppress(OSError, AttributeError):
            is_configured = ctypes.CDLL(path).TIFFIsCODECConfigured
            is_configured.argtypes = [ctypes.c_uint16]
            return frozenset(method for method in methods if is_configured(method))
    return frozenset(methods)


def _libraries() -> list[str]:
    """Return the copies that come with Pillow's wheels, else the system's one."""
    package = Path(PIL.__file__).parent
    folders = (package.parent / "pillow.libs", package / ".dylibs")
    bundled = [str(path) for folder in folders for path in folder.glob("libtiff*")]
    system = ctypes.util.find_library("tiff") if not bundled else None
    return [system] if system else bundled
