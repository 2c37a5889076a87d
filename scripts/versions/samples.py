"""What two versions are asked about: image files, or images and tensors of logged requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scripts.gateway.pictures import shown_path


class Sample(Protocol):
    """One image or tensor."""

    @property
    def name(self) -> str:
        """Where it comes from."""

    def read(self) -> bytes:
        """Return the file as the gateway takes it, or raise OSError."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """An image file."""

    path: Path

    @property
    def name(self) -> str:
        """The path as text."""
        return shown_path(self.path)

    def read(self) -> bytes:
        """Return the content of the file."""
        return self.path.read_bytes()
