"""Write log records in one thread, behind a queue of limited size.

Requests never wait: a record that does not fit into the queue is dropped.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import Final

from model_server.errors import ModelServerError, Unknown
from model_server.internal_errors import as_internal_error
from model_server.request_log.log_files import LogFiles, LogLimits
from model_server.tfrecord import OVERHEAD, framed

logger = logging.getLogger(__name__)

#: While records cannot be written, the log says so at this interval.
_REPORT_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """The pieces of a serialized PredictionLog, and where it belongs."""

    model: str
    prefix: str
    parts: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """The bytes of the record in a file."""
        return sum(map(len, self.parts)) + OVERHEAD


class LogWriter:
    """Writes records into the files of their prefix, in a thread of its own."""

    def __init__(
        self,
        limits: LogLimits,
        max_queued_bytes: int,
        count: Callable[[str, str], None],
    ) -> None:
        """``count`` is called with model and status code of each record that left the queue."""
        self._limits = limits
        self._max_queued_bytes = max_queued_bytes
        self._count = count
        self._changed = threading.Condition()
        self._queue: deque[Record] = deque()
        self._queued_bytes = 0
        self._prefixes: Collection[str] = ()
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        # These belong to the thread.
        self._files: dict[str, LogFiles] = {}
        self._next_report = 0.0

    def use(self, prefixes: Collection[str]) -> None:
        """Keep files of these prefixes open only; the first prefix starts the thread."""
        with self._changed:
            self._prefixes = prefixes
            if prefixes and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
                self._thread.start()
            self._changed.notify()

    def reserve(self, size: int) -> bool:
        """Take room in the queue for a record; tell whether there was any."""
        with self._changed:
            if not self._has_room(size):
                return False
            self._queued_bytes += size
            return True

    def release(self, size: int) -> None:
        """Give room back."""
        with self._changed:
            self._queued_bytes -= size

    def put(self, record: Record, reserved: int) -> bool:
        """Queue a record in the room that was reserved; tell whether it fits."""
        with self._changed:
            self._queued_bytes -= reserved
            if self._is_stopped or not self._has_room(record.size):
                return False
            self._queued_bytes += record.size
            self._queue.append(record)
            self._changed.notify()
            return True

    def _has_room(self, size: int) -> bool:
        return (
            size <= self._limits.max_file_bytes
            and self._queued_bytes + size <= self._max_queued_bytes
        )

    def stop(self, timeout_s: float) -> None:
        """Accept no more records; wait until the queued ones are written."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("%d request log records are lost.", len(self._queue))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                record = self._queue.popleft() if self._queue else None
                prefixes = self._prefixes
            if record is not None:
                self._write(record)
                self.release(record.size)
                continue
            self._close_all_but(() if self._is_stopped else prefixes)
            if self._is_stopped:
                return

    def _has_work(self) -> bool:
        return bool(
            self._queue or self._is_stopped or not self._files.keys() <= set(self._prefixes)
        )

    def _write(self, record: Record) -> None:
        files = self._files.setdefault(record.prefix, LogFiles(record.prefix, self._limits))
        try:
            with as_internal_error("writing a request log record"):
                _append(files, record)
        except ModelServerError as error:
            self._count(record.model, error.code)
            self._report(record.prefix, error)
        else:
            self._count(record.model, "OK")

    def _report(self, prefix: str, error: ModelServerError) -> None:
        if monotonic() >= self._next_report:
            self._next_report = monotonic() + _REPORT_EVERY_S
            logger.error("Requests cannot be logged to %s: %s", prefix, error.message)

    def _close_all_but(self, prefixes: Collection[str]) -> None:
        for prefix in self._files.keys() - set(prefixes):
            self._files.pop(prefix).close()


def _append(files: LogFiles, record: Record) -> None:
    try:
        files.write(framed(*record.parts))
    except OSError as error:
        raise Unknown(str(error)) from error
