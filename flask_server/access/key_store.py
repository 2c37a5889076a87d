"""Tell whether a presented key is good, by a file of keys that may change at any moment.

The file is polled about once a second, when a request comes. A file that becomes unreadable or
broken is said once and changes nothing: the keys that were good last stay good. Where none were
yet, nobody is let in until the file is good.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flask_server.access.key_file import ApiKey, KeyFileError, hash_of, read_keys
from flask_server.errors import KeysUnavailable

log = logging.getLogger(__name__)

#: Seconds between two polls of the file.
POLL_INTERVAL_S = 1.0

_Stamp = tuple[int, int, int]


class KeyStore:
    """The keys of one file; safe to use from several threads."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        allow_unavailable: bool = False,
    ) -> None:
        """Read the file; raise KeyFileError if that fails, unless ``allow_unavailable`` is set."""
        self._path = path
        self._clock = clock
        self._polling = threading.Lock()
        self._next_poll_at = clock() + POLL_INTERVAL_S
        self._last_error: str | None = None
        self._stamp: _Stamp | None = None
        self._keys: dict[str, ApiKey] | None = None
        try:
            self._read()
        except KeyFileError as error:
            if not allow_unavailable:
                raise
            self._report(str(error))

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that was presented, None when there is no such key (any more).

        Raises KeysUnavailable as long as the file has never been good.
        """
        self._poll()
        if self._keys is None:
            raise KeysUnavailable("The API keys cannot be read at the moment; try again.")
        # The hash of a guess tells nothing about the hash it should have, so neither does the time
        # that the lookup takes.
        return self._keys.get(hash_of(presented))

    def _poll(self) -> None:
        """Poll the file when the interval is over; one thread does so, the others go on.

        When the last poll is more than two intervals old, a key may have been revoked since, so
        the other threads wait for the one that polls.
        """
        late = self._clock() - self._next_poll_at
        if late < 0 or not self._polling.acquire(blocking=late > POLL_INTERVAL_S):
            return
        try:
            if self._clock() >= self._next_poll_at:
                self._read_if_changed()
                self._next_poll_at = self._clock() + POLL_INTERVAL_S
        finally:
            self._polling.release()

    def _read_if_changed(self) -> None:
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            return
        try:
            self._read()
        except KeyFileError as error:
            self._report(str(error))
        else:
            log.info("API keys: read %d from %s", len(self._keys or ()), self._path)

    def _read(self) -> None:
        # The stamp is older than the content, so the next poll sees a change in between.
        stamp = _stamp(self._path)
        self._keys = {key.sha256: key for key in read_keys(self._path)}
        self._stamp, self._last_error = stamp, None

    def _report(self, error: str) -> None:
        """Log a new error once, and read the file at every poll until the error is gone."""
        if error != self._last_error:
            until = "nobody is let in" if self._keys is None else "the last good ones stay in use"
            log.error("API keys: %s. %s", until, error)
        self._last_error, self._stamp = error, None


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when the file does; None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
