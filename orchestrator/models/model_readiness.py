"""Tell whether the models can be used yet; only then do Serving and the gateway count as ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.models.model_health import readiness, served_versions
from orchestrator.probe import first
from orchestrator.problem import Problem
from orchestrator.resolved_options import ResolvedOptions

#: Time after which a model that the gateway reports as unusable is no longer waited for.
UNUSABLE_S = 2.0


class ModelReadiness:
    """What Serving and the gateway have said about each model since its last change."""

    def __init__(self, options: ResolvedOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._unusable_since: dict[str, float] = {}
        self.is_announced = False
        """Whether the start is over; later, processes are ready in spite of unusable models."""
        self.broken: dict[str, str] = {}
        """Serving's error message for each model that it could not load."""
        self.unusable: dict[str, str] = {}
        """The gateway's reason for each model that it cannot use, though Serving has loaded it."""

    def forget(self) -> None:
        """Forget what was said, as the models file has changed."""
        for known in (self.broken, self.unusable, self._unusable_since):
            known.clear()

    def serving_problem(self, names: Sequence[str]) -> Problem | None:
        """Return why the models are not served yet; None when each is available or broken.

        If all of them are broken, that is a problem too, until the start is over.
        """
        missing = first(self._unavailable(name) for name in names)
        if missing or not names or self.is_announced or set(names) - set(self.broken):
            return missing
        return Problem(f"no model can be loaded: {self.broken[names[0]]}")

    def _unavailable(self, name: str) -> Problem | None:
        """Return the states of a model's versions; None when one is available or all failed."""
        found = served_versions(self._options.serving_url, name)
        if found is None:
            return Problem(f"model {name}: no status yet")
        if found.is_broken:
            self.broken[name] = found.error
            return None
        self.broken.pop(name, None)
        if found.available:
            return None
        return Problem(f"model {name}: {', '.join(found.states.values()) or 'no version'}")

    def gateway_problem(self, names: Sequence[str]) -> Problem | None:
        """Return why the gateway cannot use the models yet; None when it can or never will.

        If it can use none of them, that is a problem too, until the start is over.
        """
        names = [name for name in names if name not in self.broken]
        missing = first(self._not_ready(name) for name in names)
        if missing or not names or self.is_announced or set(names) - set(self.unusable):
            return missing
        return Problem(f"no model can be used: {self.unusable[names[0]]}")

    def _not_ready(self, name: str) -> Problem | None:
        url, log = self._options.gateway_url, self._options.run_dir.log("gateway")
        found = readiness(url, name, log)
        if found is None:
            return Problem(f"{url} does not answer")
        if found.ready or not found.unusable:
            self._unusable_since.pop(name, None)
            self.unusable.pop(name, None)
            return None if found.ready else self._waits(name, found.reason)
        now = self._clock()
        if now - self._unusable_since.setdefault(name, now) < UNUSABLE_S:
            return Problem(f"model {name}: {found.reason}")
        self.unusable[name] = found.reason
        return None

    def _waits(self, name: str, reason: str) -> Problem | None:
        """Return the reason of the gateway, unless Serving says that waiting does not help."""
        found = served_versions(self._options.serving_url, name)
        if found is None or not found.is_broken:
            return Problem(f"model {name}: {reason}")
        self.broken[name] = found.error
        return None
