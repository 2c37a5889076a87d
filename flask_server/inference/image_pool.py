"""Work on several pictures of one request at the same time.

Only the work that leaves the interpreter gains: Pillow decodes and resizes without holding it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

#: Pictures of one request that are worked on at the same time. Each may need as much memory as the
#: largest picture that is let in.
MAX_PARALLEL_IMAGES = 4

Item = TypeVar("Item")
Done = TypeVar("Done")


class ImagePool:
    """The caller's own thread, and helpers that all callers of a worker share.

    A caller never waits for a helper to become free: it does what no helper takes from it.
    """

    def __init__(self, count: int | None = None) -> None:
        self._helpers = (
            min(MAX_PARALLEL_IMAGES, os.cpu_count() or 1) - 1 if count is None else count - 1
        )
        self._pool = ThreadPoolExecutor(max(1, self._helpers), "lane")

    def map(self, work: Callable[[Item], Done], items: Sequence[Item]) -> list[Done]:
        """Return what ``work`` makes of each item, in their order, or raise what it raises.

        The first item is always the caller's own.
        """
        if not items:
            return []
        todo = deque(enumerate(items[1:], 1))
        done: dict[int, Done] = {}

        def work_off() -> None:
            while todo:
                try:
                    at, item = todo.popleft()
                except IndexError:  # another lane took the last one
                    return
                done[at] = work(item)

        helpers = [self._pool.submit(work_off) for _ in range(min(self._helpers, len(todo)))]
        try:
            done[0] = work(items[0])
            work_off()
        except BaseException:
            todo.clear()  # nobody waits for the rest
            raise
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        return [done.pop(at) for at in range(len(items))]
