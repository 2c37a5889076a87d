"""The times and limits by which the supervisor starts, probes and restarts children."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Times are in seconds."""

    start_timeout_s: float = 300.0
    """Time from the start or reload of a child until it must be ready."""

    startup_probe_every_s: float = 0.2
    """Time between two probes of a child that is not ready yet."""

    hang_timeout_s: float = 30.0
    """Time without a good response and without progress after which a child counts as hung."""

    busy_share: float = 0.01
    """Share of one CPU that a child must use to count as making progress.

    It is above the need of a server that only wakes up to check for work.
    """

    probe_every_s: float = 1.0
    """Time between two probes of a ready child."""

    max_restarts: int = 5
    """Number of restarts of a child that has never been ready; later there is no limit."""

    initial_delay_s: float = 0.5
    """Delay before the first restart; it doubles with each consecutive failure."""

    max_delay_s: float = 30.0
    """Longest delay before a restart."""

    reset_after_s: float = 60.0
    """Time that a child must stay ready before its failures are forgotten."""

    tick_s: float = 0.1
    """Longest time that the supervisor waits for a command between two steps."""

    def delay_s(self, failures: int) -> float:
        """Return the delay before the restart that follows ``failures`` consecutive failures."""
        if not failures:
            return 0.0
        return min(self.initial_delay_s * 2.0 ** (failures - 1), self.max_delay_s)


DEFAULT_POLICY = RestartPolicy()
