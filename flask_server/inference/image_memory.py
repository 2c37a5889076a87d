"""Reserve the memory of images before they are decoded, occluded or drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask_server.deadline import Deadline
from flask_server.errors import ImageTooLarge, Overloaded, ServingTimeout
from flask_server.imaging.geometry import Size
from flask_server.memory_budget import MemoryBudget

#: Seconds between two checks whether there is room.
_PAUSE_S: Final = 0.01


@contextmanager
def reserved(memory: MemoryBudget, count: int, size: Size, deadline: Deadline) -> Iterator[None]:
    """Hold bytes of the budget for an image of this size.

    Waits for other images to be given back, and holds no bytes meanwhile. Raises Overloaded if
    there is no room before the deadline, and ImageTooLarge if there can never be.
    """
    words = f"{size[0]}x{size[1]} are {size[0] * size[1]} pixels; in this format they take"
    with held(memory, count, deadline, words, "to decode"):
        yield


@contextmanager
def held(
    memory: MemoryBudget, count: int, deadline: Deadline, words: str, purpose: str = ""
) -> Iterator[None]:
    """Hold bytes of the budget; ``words`` begin the sentence of the refusal if they never fit."""
    if count > memory.total:
        use = f"{words} {count} bytes {purpose}".rstrip()
        raise ImageTooLarge(f"{use}, and at most {memory.total} are allowed.")
    while not memory.reserve(count):
        try:
            time.sleep(min(_PAUSE_S, deadline.left()))
        except ServingTimeout as error:
            raise Overloaded(
                "Other images took the memory for decoding for the whole deadline of"
                f" {deadline.seconds:g} s; try again."
            ) from error
    try:
        yield
    finally:
        memory.release(count)
