"""Hold the state of every version of every model, and find the version that serves a request.

A version is not closed while a request holds a handle of it. Loading and unloading happen
elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from model_server.engines.protocol import LoadedModel
from model_server.errors import (
    FailedPrecondition,
    InvalidArgument,
    ModelServerError,
    NotFound,
    Unavailable,
)
from model_server.models.versions import VersionStatus


class State(Enum):
    """The lifecycle states of a version, named as TensorFlow Serving's status API does."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(eq=False, slots=True)
class Servable:
    """One version of one model."""

    name: str
    version: int
    state: State = State.START
    error: ModelServerError | None = None
    model: LoadedModel | None = None
    users: int = 0
    failed_attempts: int = 0
    may_retry: bool = False
    """Lets a version that failed be loaded again: its model was removed meanwhile, or there was no
    thread for the load."""

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"

    @property
    def may_load_again(self) -> bool:
        """Whether the version may be loaded again: it was unloaded without error, or may retry."""
        return self.state is State.END and (self.error is None or self.may_retry)

    @property
    def status(self) -> VersionStatus:
        """The status of the version as the status API reports it."""
        if self.error is None:
            return VersionStatus(self.version, self.state.value)
        return VersionStatus(self.version, self.state.value, self.error.code, self.error.message)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The model of a request; without version and label, its highest available version."""

    model: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Handle:
    """A version that stays loaded while a request holds the handle."""

    version: int
    model: LoadedModel


class Registry:
    """All servables; safe to use from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._models: dict[str, dict[int, Servable]] = {}
        self._labels: dict[str, Mapping[str, int]] | None = None

    def servables(self, model: str) -> list[Servable]:
        """Return all versions of a model, also the failed and unloaded ones, highest first."""
        with self._changed:
            versions = self._models.get(model, {})
            return [versions[version] for version in sorted(versions, reverse=True)]

    def add(self, servable: Servable) -> None:
        """Add a version; it replaces an ended one with the same number."""
        with self._changed:
            self._models.setdefault(servable.name, {})[servable.version] = servable

    def set_state(
        self,
        servable: Servable,
        state: State,
        *,
        model: LoadedModel | None = None,
        error: ModelServerError | None = None,
    ) -> None:
        """Set state, model and error of a version together, and wake all threads that wait."""
        with self._changed:
            servable.state, servable.model, servable.error = state, model, error
            self._changed.notify_all()

    def drain(self, servable: Servable) -> LoadedModel | None:
        """Stop handing out the version, wait until no request uses it, and return its model."""
        with self._changed:
            servable.state = State.UNLOADING
            self._changed.wait_for(lambda: servable.users == 0)
            return servable.model

    def wait_for(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait until a state change makes the condition true."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def set_labels(self, labels: dict[str, Mapping[str, int]]) -> None:
        """Replace the labels of all models."""
        with self._changed:
            self._labels = labels

    def labels(self, model: str) -> Mapping[str, int]:
        """Return the labels of a model."""
        with self._changed:
            return (self._labels or {}).get(model, {})

    def is_available(self, model: str, version: int) -> bool:
        """Return whether a version is available for requests."""
        with self._changed:
            servable = self._models.get(model, {}).get(version)
            return servable is not None and servable.state is State.AVAILABLE

    def statuses(self, model: str, version: int | None = None) -> list[VersionStatus]:
        """Return the states of a model's versions, the highest first, or raise NotFound."""
        found = [s.status for s in self.servables(model) if version in (None, s.version)]
        if found:
            return found
        if version is None:
            raise NotFound(f"Could not find any versions of model {model}")
        raise NotFound(f"Could not find version {version} of model {model}")

    def all_statuses(self, models: Iterable[str]) -> dict[str, list[VersionStatus]]:
        """Return the states of the versions of these models; none for a model without versions."""
        return {model: [s.status for s in self.servables(model)] for model in models}

    @contextmanager
    def acquire(self, request: ModelRequest) -> Iterator[Handle]:
        """Hold the requested version for the block.

        Raises NotFound, InvalidArgument for an unknown label, or Unavailable before the first
        configuration.
        """
        with self._changed:
            servable = self._find(request)
            servable.users += 1
            assert servable.model is not None  # noqa: S101 - true while AVAILABLE
            handle = Handle(servable.version, servable.model)
        try:
            yield handle
        finally:
            self._release(servable)

    def _release(self, servable: Servable) -> None:
        with self._changed:
            servable.users -= 1
            if not servable.users and servable.state is State.UNLOADING:
                self._changed.notify_all()

    def _find(self, request: ModelRequest) -> Servable:
        version = request.version if request.label is None else self._labelled(request)
        ready = {
            number: servable
            for number, servable in self._models.get(request.model, {}).items()
            if servable.state is State.AVAILABLE and version in (None, number)
        }
        if ready:
            return ready[max(ready)]
        which = f"Latest({request.model})"
        if version is not None:
            which = f"Specific({request.model}, {version})"
        raise NotFound(f"Servable not found for request: {which}")

    def _labelled(self, request: ModelRequest) -> int:
        if self._labels is None:
            raise Unavailable(f"Model labels does not init yet.{request.label}")
        version = self._labels.get(request.model, {}).get(request.label or "")
        if version is None:
            raise InvalidArgument(f"Unrecognized servable version label: {request.label}")
        return version


def check_label(
    registry: Registry, model: str, label: str, version: int, *, before_load: bool
) -> None:
    """Raise FailedPrecondition for a label on a version that is not available.

    ``before_load`` allows it for new labels, and for labels that already point at the version.
    """
    if registry.is_available(model, version):
        return
    known = registry.labels(model).get(label)
    if before_load and known in (None, version):
        return
    raise FailedPrecondition(
        f"Request to assign label to version {version} of model {model},"
        " which is not currently available for inference"
    )
