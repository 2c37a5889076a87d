"""Process several images of one request in parallel.

Threads help here because Pillow decodes and resizes without holding the interpreter's lock.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
        """Use ``parallel`` threads per request, by default one per processor up to the maximum."""
        if parallel is None:
            parallel = min(MAX_PARALLEL_IMAGES, os.cpu_count() or 1)
        self._helpers = parallel - 1
        self._executor = ThreadPoolExecutor(max(1, self._helpers), "image-pool")

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the function's result for each item, in their order, or raise what it raises.

        The first item is always processed by the calling thread.
        """
        if not items:
            return []
        remaining = deque(enumerate(items[1:], 1))
        results: dict[int, Result] = {}

        def process_remaining() -> None:
            while remaining:
                try:
                    index, item = remaining.popleft()
                except IndexError:  # another thread took the last one
                    return
                results[index] = function(item)

        helpers = min(self._helpers, len(remaining))
        futures = [self._executor.submit(process_remaining) for _ in range(helpers)]
        try:
            results[0] = function(items[0])
            process_remaining()
        except BaseException:
            remaining.clear()  # the other results are not needed any more
            raise
        for future in futures:
            if not future.cancel():
                future.result()
        return [results.pop(index) for index in range(len(items))]
