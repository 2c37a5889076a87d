"""Tell whether a presented key is good, by a file of keys that may change at any moment.

The file is looked at about once a second, when somebody asks. A file that becomes unreadable or
broken is said once and changes nothing: the keys that were good last stay good.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flask_server.key_file import ApiKey, KeyFileError, hash_of, read_keys

log = logging.getLogger(__name__)

#: Seconds between two looks at the file.
LOOK_S = 1.0

_Stamp = tuple[int, int, int]


class KeyRing:
    """The keys of one file; safe to use from several threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looking = threading.Lock()
        self._next_look = clock() + LOOK_S
        self._complaint = ""
        # The stamp is older than the content, so a change in between shows at the next look.
        self._stamp = _stamp(path)
        self._keys = _by_hash(read_keys(path))

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that was presented, None when there is no such key (any more)."""
        self._look()
        # The hash of a guess tells nothing about the hash it should have, so neither does the time
        # of this lookup; the comparison that decides takes the same time for all.
        digest = hash_of(presented)
        key = self._keys.get(digest)
        return key if key and hmac.compare_digest(key.sha256, digest) else None

    def _look(self) -> None:
        """Look when it is time; one thread does, the others go on with what is known."""
        if self._clock() < self._next_look or not self._looking.acquire(blocking=False):
            return
        try:
            self._next_look = self._clock() + LOOK_S
            self._read_if_changed()
        finally:
            self._looking.release()

    def _read_if_changed(self) -> None:
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            return
        try:
            keys = read_keys(self._path)
        except KeyFileError as error:
            self._complain(str(error))
            return
        self._keys, self._stamp, self._complaint = _by_hash(keys), stamp, ""
        log.info("API keys: read %d from %s", len(keys), self._path)

    def _complain(self, complaint: str) -> None:
        """Log a new complaint once, and read again at every look until it is gone."""
        if complaint != self._complaint:
            log.error("API keys: the last good ones stay in use. %s", complaint)
        self._complaint, self._stamp = complaint, None


def _by_hash(keys: tuple[ApiKey, ...]) -> dict[str, ApiKey]:
    return {key.sha256: key for key in keys}


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when the file does; None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
