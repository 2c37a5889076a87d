"""A lack of resources is never reported as a damaged image."""

from __future__ import annotations

import errno

import pytest
from PIL import Image

from flask_server.errors import CorruptImage
from flask_server.imaging.resource_errors import is_resource_error
from tests.decoding import decode
from tests.flask_server.conftest import flat

PICTURE = flat("red")
RESOURCE_ERRORS = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    RuntimeError("Failed to decode image: Out of memory"),
    RuntimeError("Memory allocation error: Unspecified"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("out of memory error when reading image file"),
]
DAMAGE = [
    OSError("image file is truncated"),
    OSError(errno.EINVAL, "Invalid argument"),
    RuntimeError("Memory allocation error: Security limit exceeded: Image size too large"),
    SyntaxError("not a TIFF file"),
    ValueError("out of memory"),
]


@pytest.mark.parametrize("error", RESOURCE_ERRORS, ids=repr)
def test_errors_of_resources(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_resource_error(error)
    with pytest.raises(MemoryError):
        decode_with(error, monkeypatch)


@pytest.mark.parametrize("error", DAMAGE, ids=repr)
def test_damage(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_resource_error(error)
    with pytest.raises(CorruptImage):
        decode_with(error, monkeypatch)


def decode_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode a good image with a library that fails."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    decode(PICTURE, max_pixels=10**6)
