"""Know which models and versions are live and what they say of themselves.

A background thread asks each Serving about once a second; requests read what it found. Specs belong
to one version of a model and never change, so each is asked for once and labels always fit the
scores they are put on. Knows nothing about HTTP requests and pictures.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from flask_server.deadline import Deadline
from flask_server.encoding import Encoder, choose_encoder, describe_request
from flask_server.errors import (
    ModelNotReady,
    ServingError,
    ServingFault,
    UnknownModel,
    UnknownVersion,
)
from flask_server.serving import AVAILABLE, ServableGone, Serving, VersionStatus
from flask_server.signatures import (
    Signatures,
    declared_picture,
    is_our_export,
    picture_input,
    scores_output,
)
from model_catalog.errors import SpecError
from model_catalog.labels import numbered_labels
from model_catalog.models_file import ModelEntry
from model_catalog.spec import ModelSpec, OutputSpec, input_from_dict

log = logging.getLogger(__name__)

#: Seconds that one look of the background thread may take.
LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class LiveModel:
    """One available version of a model with everything needed to ask it."""

    name: str
    version: int
    spec: ModelSpec
    encode: Encoder

    output: str | None
    """Which output has the scores; None where the signature has only one."""

    serving: Serving


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the last look at a model showed."""

    versions: tuple[VersionStatus, ...] = ()
    newest: LiveModel | None = None
    problem: ServingFault | None = None

    @property
    def ready(self) -> bool:
        """Whether the newest version can be asked and Serving answered the last look."""
        return self.newest is not None and self.problem is None


class Models:
    """All configured models, kept up to date."""

    def __init__(
        self, entries: tuple[ModelEntry, ...], serving_at: Callable[[str | None], Serving]
    ) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._servings = {entry.name: serving_at(entry.serving_url) for entry in entries}
        self._states: dict[str, ModelState] = {}
        self._specs: dict[tuple[str, int], LiveModel] = {}
        self._looking = {entry.name: threading.Lock() for entry in entries}
        self._stop = threading.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """The models in the order of the models file."""
        return tuple(self._entries)

    @property
    def default(self) -> str:
        """The model for callers that name none."""
        return self.names[0]

    def start(self, interval_s: float) -> None:
        """Look at all models now and then, in the background, until ``stop``.

        Each Serving has its own thread, so that one that hangs hides no other.
        """
        for serving in set(self._servings.values()):
            names = [name for name in self.names if self._servings[name] is serving]
            threading.Thread(
                target=self._watch, args=(names, interval_s), name="model-watch", daemon=True
            ).start()

    def stop(self) -> None:
        """End the background thread at its next turn and close the connections."""
        self._stop.set()
        for serving in self._servings.values():
            serving.close()

    def state(self, name: str) -> ModelState:
        """Return what is known of the model; the first question looks at once."""
        self._known(name)
        return self._states.get(name) or self.look(name)

    def newest(self, name: str) -> LiveModel:
        """Return the newest available version, or raise why there is none."""
        state = self.state(name)
        if state.newest is None:
            raise state.problem or ModelNotReady(_not_ready(name, state.versions))
        return state.newest

    def pinned(self, name: str, version: int, deadline: Deadline) -> LiveModel:
        """Return a version that the caller chose, or raise UnknownVersion."""
        self._known(name)
        try:
            return self._live(name, version, deadline)
        except ServableGone as error:
            raise UnknownVersion(f"Model {name} has no available version {version}.") from error

    def labelled(self, name: str, label: str, deadline: Deadline) -> LiveModel:
        """Return the version that a version label points at, or raise UnknownVersion."""
        self._known(name)
        try:
            version = self._servings[name].label_version(name, label, deadline)
            return self._live(name, version, deadline)
        except ServableGone as error:
            raise UnknownVersion(f"Model {name} has no version labelled {label!r}.") from error

    def look(self, name: str) -> ModelState:
        """Ask Serving for the model's versions now and remember the answer.

        Who waits while another asks takes the other's answer: nobody queues behind a slow Serving.
        """
        before = self._states.get(name)
        with self._looking[name]:
            since = self._states.get(name)
            if since is not None and since is not before:
                return since
            state = self._look(name) or self._look(name) or ModelState()
            _log_change(name, self._states.get(name), state)
            self._states[name] = state
            return state

    def _watch(self, names: list[str], interval_s: float) -> None:
        while not self._stop.is_set():
            for name in names:
                self.look(name)
            self._stop.wait(interval_s)

    def _look(self, name: str) -> ModelState | None:
        """Return what Serving says now; None when a version went while it was being asked."""
        deadline = Deadline(LOOK_S)
        try:
            versions = tuple(self._servings[name].status(name, deadline))
        except ServableGone:
            return ModelState()
        except ServingFault as error:
            return self._trouble(name, error)
        available = [status.version for status in versions if status.state == AVAILABLE]
        try:
            newest = self._live(name, max(available), deadline) if available else None
        except ServableGone:
            return None
        except ServingFault as error:
            return ModelState(versions, problem=error)
        self._forget(name, set(available))
        return ModelState(versions, newest)

    def _trouble(self, name: str, problem: ServingFault) -> ModelState:
        """Keep what was live, since a busy Serving may still answer, but ask for specs again."""
        before = self._states.get(name, ModelState())
        self._forget(name, set())
        return ModelState(before.versions, before.newest, problem)

    def _live(self, name: str, version: int, deadline: Deadline) -> LiveModel:
        live = self._specs.get((name, version))
        if live is None:
            live = self._ask(self._entries[name], self._servings[name], version, deadline)
            self._specs[name, version] = live
        return live

    def _forget(self, name: str, available: set[int]) -> None:
        """Drop specs of versions that are gone: their number may come back with another model."""
        for key in [k for k in self._specs if k[0] == name and k[1] not in available]:
            self._specs.pop(key, None)

    def _ask(
        self, entry: ModelEntry, serving: Serving, version: int, deadline: Deadline
    ) -> LiveModel:
        signatures = serving.signatures(entry.name, version, deadline)
        output = None
        if is_our_export(signatures):
            rows = serving.predict(entry.name, version, describe_request(), deadline)
            spec = _described(entry.name, rows)
        else:
            output, spec = configured(entry, signatures)
        encode = choose_encoder(signatures, spec.input)
        return LiveModel(entry.name, version, spec, encode, output, serving)

    def _known(self, name: str) -> None:
        if name not in self._entries:
            known = ", ".join(self.names)
            raise UnknownModel(f"There is no model {name!r}; known are {known}.")


def _described(name: str, rows: object) -> ModelSpec:
    """Read the spec that an export of ours carries."""
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], str):
        raise ServingError(f"The describe signature of model {name} did not answer one text.")
    try:
        return ModelSpec.from_json(rows[0])
    except SpecError as error:
        raise ServingError(f"Model {name} describes itself wrongly: {error}") from error


def configured(entry: ModelEntry, signatures: Signatures) -> tuple[str | None, ModelSpec]:
    """Return scores output and spec of a foreign SavedModel: signature first, then models file."""
    classes = len(entry.labels) if entry.labels else None
    output, declared = scores_output(signatures, classes)
    classes = classes or declared
    if classes is None or entry.input is None:
        missing = "input" if entry.input is None else "labels"
        raise ServingError(
            f"Model {entry.name} does not describe itself, and the models file does not say its "
            f"{missing}. At least input = {{ scale = … }} is needed, and labels where the "
            "signature does not declare how many classes there are."
        )
    try:
        view = input_from_dict(declared_picture(picture_input(signatures)) | dict(entry.input))
        spec = ModelSpec(
            name=entry.name,
            input=view,
            output=OutputSpec(classes=classes, activation=entry.activation),
            labels=entry.labels or numbered_labels(classes),
        )
    except SpecError as error:
        raise ServingError(f"Model {entry.name} cannot be described: {error}") from error
    return output, spec


def _log_change(name: str, before: ModelState | None, after: ModelState) -> None:
    """Log what an operator must know, once."""
    if before is None or _brief(before) != _brief(after):
        level = logging.INFO if after.ready else logging.WARNING
        log.log(level, "model %s: %s", name, _brief(after))


def _brief(state: ModelState) -> str:
    if state.problem is not None:
        return f"{state.problem.code}: {state.problem}"
    return f"version {state.newest.version} is live" if state.newest else "no available version"


def _not_ready(name: str, versions: tuple[VersionStatus, ...]) -> str:
    states = ", ".join(f"{v.version} {v.state}" for v in versions) or "none"
    return f"Model {name} has no available version; Serving's versions are: {states}."
