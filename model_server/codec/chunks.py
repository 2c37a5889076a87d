"""Cut long sequences into chunks, so that other threads can run between two of them. Pure.

The interpreter changes threads between two operations of Python, never within one; and one
operation on millions of numbers takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from numpy.typing import NDArray

Items = TypeVar("Items", list[Any], list[str], NDArray[Any])

#: Most items of a chunk: a millisecond or so for most operations.
SIZE: Final = 1 << 15


def chunks(items: Items) -> Iterator[Items]:
    """Yield consecutive parts of a sequence; one that is short is the only part itself."""
    if len(items) <= SIZE:
        yield items
        return
    for start in range(0, len(items), SIZE):
        yield items[start : start + SIZE]
