"""Bound the work on a file by the number of its parts."""

from __future__ import annotations

from flask_server.errors import CorruptImage


class Limit:
    """Counts parts of a file, such as its boxes, in all places where they stand."""

    def __init__(self, most: int, parts: str, image: str = "The image") -> None:
        self._left = most
        self._sentence = f"{image} has more than {most} {parts}."

    def count(self, number: int = 1) -> None:
        """Count some parts; raise CorruptImage if the file has more than allowed."""
        self._left -= number
        if self._left < 0:
            raise CorruptImage(self._sentence)
