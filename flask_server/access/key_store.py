"""Tell whether a presented key is good, by a file of keys that may change at any moment.

The file is looked at about once a second, when somebody asks. A file that becomes unreadable or
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

#: Seconds between two looks at the file.
POLL_TIMEOUT_S = 1.0

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
        """Read the file; one that is not good is a ``KeyFileError``, unless the ring is patient."""
        self._path = path
        self._clock = clock
        self._polling = threading.Lock()
        self._next_look = clock() + POLL_TIMEOUT_S
        self._complaint = ""
        self._stamp: _Stamp | None = None
        self._keys: dict[str, ApiKey] | None = None
        try:
            self._read()
        except KeyFileError as error:
            if not allow_unavailable:
                raise
            self._complain(str(error))

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
        """Look when it is time; one thread does, the others go on with what is known.

        After a pause it may be old, and a key revoked meanwhile: then they wait for that thread.
        """
        late = self._clock() - self._next_look
        if late < 0 or not self._polling.acquire(blocking=late > POLL_TIMEOUT_S):
            return
        try:
            if self._clock() >= self._next_look:
                self._read_if_changed()
                self._next_look = self._clock() + POLL_TIMEOUT_S
        finally:
            self._polling.release()

    def _read_if_changed(self) -> None:
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            return
        try:
            self._read()
        except KeyFileError as error:
            self._complain(str(error))
        else:
            log.info("API keys: read %d from %s", len(self._keys or ()), self._path)

    def _read(self) -> None:
        # The stamp is older than the content, so a change in between shows at the next look.
        stamp = _stamp(self._path)
        self._keys = {key.sha256: key for key in read_keys(self._path)}
        self._stamp, self._complaint = stamp, ""

    def _complain(self, complaint: str) -> None:
        """Log a new complaint once, and read again at every look until it is gone."""
        if complaint != self._complaint:
            until = "nobody is let in" if self._keys is None else "the last good ones stay in use"
            log.error("API keys: %s. %s", until, complaint)
        self._complaint, self._stamp = complaint, None


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when the file does; None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
