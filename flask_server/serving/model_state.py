"""The result of a poll of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flask_server.errors import ServingFault
from flask_server.serving.live_model import LiveModel
from flask_server.serving.traffic import Traffic
from flask_server.serving.upstream import AddressState, VersionStatus


@dataclass(frozen=True, slots=True)
class ModelState:
    """The result of the last poll of a model."""

    versions: tuple[VersionStatus, ...] = ()
    newest: LiveModel | None = None
    """The newest usable version; after a failed poll the one from before."""

    problem: ServingFault | None = None
    """Why the last poll failed."""

    labels: Mapping[str, int] = field(default_factory=dict)
    """The versions that the version labels of the models file have at Serving."""

    unusable: Mapping[int, ServingFault] = field(default_factory=dict)
    """Why versions that Serving has available cannot be used, by their number."""

    score_drift: float | None = None
    """How far the newest version's scores of its golden images are from those of the exported
    model; None if that was not measured."""

    drift_warnings: tuple[str, ...] = ()

    addresses: tuple[AddressState, ...] = ()
    """What the poll found at each of several addresses; nothing for a single one."""

    traffic: Traffic = field(default_factory=Traffic)
    """The versions of ``split`` and ``shadow``; after a failed poll those from before."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about newer versions that cannot be used, and addresses that get no calls.

        Also about scores that differ from the exported model's, and labels of ``split`` and
        ``shadow`` without a usable version.
        """
        if self.newest is None:
            return ()
        return (
            *(f"Address {n}: {text}" for n, text in _address_problems(self.addresses)),
            *(f"Version {number} cannot be used: {why}" for number, why in self.unusable.items()),
            *self.drift_warnings,
            *self.traffic.warnings,
        )

    @property
    def ready(self) -> bool:
        """Whether a version is available and the last poll succeeded."""
        return self.newest is not None and self.problem is None

    @property
    def is_fine(self) -> bool:
        """Whether all versions, addresses and labels can be used."""
        troubles = (*_address_problems(self.addresses), *self.traffic.warnings)
        return self.ready and not self.unusable and not troubles

    @property
    def summary(self) -> str:
        """The state in words, for the log."""
        if self.problem is not None:
            return f"{self.problem.code}: {self.problem.for_log}"
        if self.newest is None:
            return "no available version"
        live = f"version {self.newest.version} is live"
        addresses = (
            f"{self.addresses[number - 1].address}: {text}"
            for number, text in _address_problems(self.addresses)
        )
        reasons = (
            f"Version {version} cannot be used: {error.for_log}"
            for version, error in self.unusable.items()
        )
        texts = (*reasons, *self.traffic.warnings)
        return ". ".join(filter(None, [live, " ".join(texts), " ".join(addresses)]))


def _address_problems(addresses: Iterable[AddressState]) -> Iterator[tuple[int, str]]:
    """Yield the number of an address, from 1, and why it gets no calls for the model."""
    for number, each in enumerate(addresses, start=1):
        if each.problem is not None:
            yield number, str(each.problem)
        for version in each.other_versions:
            yield number, f"Version {version} differs from that of the other addresses."
