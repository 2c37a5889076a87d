"""Look up API keys in a key file that may change at any moment.

The file is polled at most once a second, when a request arrives. When the file becomes unreadable
or invalid, one error is logged and the keys read last stay valid. When no keys have been read yet,
every key is refused until the file can be read.
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
#: Number of keys with metrics of their own, so that a large file does not make thousands.
LISTED = 100

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
        self._listed: frozenset[str] = frozenset()
        try:
            self._read()
        except KeyFileError as error:
            if not allow_unavailable:
                raise
            self._report(str(error))

    def find(self, presented: str) -> ApiKey | None:
        """Return the entry of a presented key, or None when it is unknown or revoked.

        Raises KeysUnavailable while the file has never been read successfully.
        """
        self._poll()
        if self._keys is None:
            raise KeysUnavailable("The API keys cannot be read at the moment; try again.")
        # No constant-time comparison is needed: the timing could only reveal digits of the hash of
        # a guess, and these say nothing about the key.
        return self._keys.get(hash_of(presented))

    def listed(self) -> frozenset[str]:
        """Return the ids of the first keys in the file, the same in every worker."""
        self._poll()
        return self._listed

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
        # The stamp is taken first, so the next poll notices a change between these two lines.
        stamp = _stamp(self._path)
        keys = read_keys(self._path)
        self._keys = {key.sha256: key for key in keys}
        self._listed = frozenset(key.id for key in keys[:LISTED])
        self._stamp, self._last_error = stamp, None

    def _report(self, error: str) -> None:
        """Log a new error once, and read the file at every poll until the error is gone."""
        if error != self._last_error:
            consequence = (
                "every key is refused" if self._keys is None else "the keys read last stay valid"
            )
            log.error("API keys: %s. %s", consequence, error)
        self._last_error, self._stamp = error, None


def _stamp(path: Path) -> _Stamp | None:
    """Return a value that changes with the file, or None when the file cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
