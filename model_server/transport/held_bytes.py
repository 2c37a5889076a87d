"""Count the memory of one gRPC call against the budget of all requests."""

from __future__ import annotations

import threading

from model_server.byte_budget import ByteBudget
from model_server.errors import Unavailable


class Held:
    """The bytes of one call that count against the budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._size = 0
        self._is_over = False

    def add(self, size: int) -> None:
        """Count more bytes, or raise Unavailable if they do not fit."""
        with self._lock:
            if self._is_over:
                return
            if not self._budget.take(size):
                raise Unavailable(
                    "The requests of all connections have reached the limit that"
                    " --rest_api_max_total_bytes sets; try again."
                )
            self._size += size

    def replace(self, size: int) -> None:
        """Count other bytes instead: the response, once the message is no longer needed."""
        with self._lock:
            if not self._is_over:
                self._budget.add(size - self._size)
                self._size = size

    def release(self) -> None:
        """Count nothing more; the call is over."""
        with self._lock:
            if not self._is_over:
                self._is_over = True
                self._budget.add(-self._size)
