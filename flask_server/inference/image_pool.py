"""Process several images of one request in parallel.

Threads help here because Pillow decodes and resizes without holding the interpreter's lock.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

#: Maximum number of images of one request that are processed in parallel. Each of them may need as
#: much memory as the largest allowed image.
MAX_PARALLEL_IMAGES = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


class ImagePool:
    """Runs work in the thread of a request and in helper threads that all requests share.

    A request never waits for a helper thread: its own thread processes what no helper has taken.
    """

    def __init__(self, parallel: int | None = None) -> None:
        """Use ``parallel`` threads per request, by default one per usable CPU up to the maximum."""
        if parallel is None:
            parallel = min(MAX_PARALLEL_IMAGES, usable_cpus())
        self._helpers = parallel - 1
        self._executor = ThreadPoolExecutor(max(1, self._helpers), "image-pool")

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the function's result for each item, in their order, or raise what it raises.

        The first item is always processed by the calling thread.
        """
        if not items:
            return []
        work = _Work(function, items)
        with suppress(RuntimeError, MemoryError):  # no thread can be started: this one does it all
            for _ in range(min(self._helpers, len(items) - 1)):
                self._executor.submit(work.process_remaining)
        return work.results()


def usable_cpus() -> int:
    """Return the number of CPUs that the affinity of the process allows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Work(Generic[Item, Result]):
    """The items of one call; each is processed by the thread that takes it."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self._function = function
        self._items = items
        self._remaining = deque(range(1, len(items)))
        self._results: dict[int, Result] = {}
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._helped = 0
        """Items that helpers have taken and not finished."""

        self._is_over = False
        """Whether the calling thread has failed, and waits for nothing any more."""

    def results(self) -> list[Result]:
        """Process the first item and what no helper takes, and wait for the helpers."""
        try:
            self._process(0)
            while (index := self._next()) is not None:
                self._process(index)
        except BaseException:
            self._give_up()
            raise
        with self._changed:
            self._changed.wait_for(lambda: not self._helped)
        if self._errors:
            raise self._first_error()
        return [self._results.pop(index) for index in range(len(self._items))]

    def _give_up(self) -> None:
        """Remove the items that nobody has taken, and keep no error: nobody waits for either.

        Under the lock, since another thread may have seen an item that it takes next.
        """
        with self._changed:
            self._is_over = True
            self._remaining.clear()
            self._errors.clear()

    def _note(self, error: BaseException) -> None:
        """Keep the error of a helper for the calling thread, if that waits, and end the work."""
        with self._changed:
            self._remaining.clear()
            if not self._is_over:
                self._errors.append(error)

    def _first_error(self) -> BaseException:
        """Return the first error, and keep none: each refers to the images by its frames."""
        first = self._errors[0]
        self._errors.clear()
        return first

    def process_remaining(self) -> None:
        """Process items in the thread of a helper until none is left."""
        while (index := self._next(helped=1)) is not None:
            try:
                self._process(index)
            except BaseException as error:
                self._note(error)
            finally:
                with self._changed:
                    self._helped -= 1
                    self._changed.notify_all()

    def _next(self, helped: int = 0) -> int | None:
        with self._changed:
            if not self._remaining:
                return None
            self._helped += helped
            return self._remaining.popleft()

    def _process(self, index: int) -> None:
        self._results[index] = self._function(self._items[index])
