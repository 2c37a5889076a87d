"""Reserve the memory of images before they are decoded, occluded, drawn or sent."""

from __future__ import annotations

import threading
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


class FileMemory:
    """The budget of a request for whose images files are made; these hold bytes until it is over.

    Safe to use from several threads, also from one that ends after the request.
    """

    def __init__(self, memory: MemoryBudget) -> None:
        self.total = memory.total
        self._memory = memory
        self._held = 0
        self._is_open = True
        self._lock = threading.Lock()

    def reserve(self, count: int) -> bool:
        """Reserve bytes for an image, as ``MemoryBudget`` does.

        Raises Overloaded at once if the files of the request leave too little for it: they are held
        until it is over.
        """
        if self._held + count > self.total:
            raise _too_many_files()
        return self._memory.reserve(count)

    def release(self, count: int) -> None:
        """Give reserved bytes back."""
        self._memory.release(count)

    def add(self, count: int) -> None:
        """Hold bytes for a file; raise Overloaded at once if there is no room.

        Two requests that hold files do not wait for each other here.
        """
        with self._lock:
            if not self._is_open or not self._memory.reserve(count):
                raise _too_many_files()
            self._held += count

    def close(self) -> None:
        """Give the bytes of all files back."""
        with self._lock:
            self._is_open = False
            self._memory.release(self._held)
            self._held = 0


def _too_many_files() -> Overloaded:
    return Overloaded(
        "There is no memory for the PNG files that the model gets in place of the images; send"
        " fewer images in a request, or try again."
    )


#: The budget of the process, or what a request uses of it.
Memory = MemoryBudget | FileMemory


@contextmanager
def reserved(memory: Memory, count: int, size: Size, deadline: Deadline) -> Iterator[None]:
    """Hold bytes of the budget for an image of this size.

    Waits for other images to be given back, and holds no bytes meanwhile. Raises Overloaded if
    there is no room before the deadline, and ImageTooLarge if there can never be.
    """
    words = f"{size[0]}x{size[1]} are {size[0] * size[1]} pixels; in this format they take"
    with held(memory, count, deadline, words, "to decode"):
        yield


@contextmanager
def held(
    memory: Memory, count: int, deadline: Deadline, words: str, purpose: str = ""
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
                "Other images took the memory for decoding until the deadline of"
                f" {deadline.seconds:g} s passed; try again."
            ) from error
    try:
        yield
    finally:
        memory.release(count)
