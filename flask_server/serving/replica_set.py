"""What several servers told about one model, and which of them have a version.

Labels must belong to the scores, so the same number has to mean the same version everywhere. A
server gets no calls for a version before its description of the version was read: the spec or, of a
foreign SavedModel, the signatures. If it differs from that of the first server, it gets none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flask_server.errors import ServingFault
from flask_server.serving.upstream import AVAILABLE, AddressState, Metadata, VersionStatus


@dataclass(frozen=True, slots=True)
class Description:
    """What a server tells about one version."""

    metadata: Metadata

    rows: object
    """The rows of the ``describe`` signature; None for a foreign SavedModel."""

    def is_same(self, other: Description) -> bool:
        """Tell whether the labels of one fit the scores of the other."""
        if self.rows is None or other.rows is None:
            return self.rows is other.rows and (
                self.metadata.signatures == other.metadata.signatures
            )
        return self.rows == other.rows


@dataclass(frozen=True, slots=True)
class Replica:
    """What one server told about one model."""

    problem: ServingFault | None = None
    """Why the last poll failed; the other fields are then from the one before."""

    versions: tuple[VersionStatus, ...] = ()

    descriptions: Mapping[int, Description] = field(default_factory=dict)
    """Those of the versions in use."""

    @property
    def available(self) -> set[int]:
        """The versions that the server has available."""
        return {each.version for each in self.versions if each.state == AVAILABLE}

    def without(self, version: int) -> Replica:
        """Return the same without a version that is gone."""
        return replace(
            self,
            versions=tuple(each for each in self.versions if each.version != version),
            descriptions={v: each for v, each in self.descriptions.items() if v != version},
        )


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """What all servers told about one model, in the order of their addresses. Immutable."""

    replicas: tuple[Replica, ...]

    references: Mapping[int, Description] = field(default_factory=dict)
    """The descriptions of the versions in use, with which those of the servers are compared."""

    def has(self, index: int, version: int) -> bool:
        """Tell whether a server has this version available, and as the others have it."""
        replica, reference = self.replicas[index], self.references.get(version)
        if reference is None:
            return version in replica.available
        found = replica.descriptions.get(version)
        return found is not None and found.is_same(reference)

    def differs(self, index: int, version: int) -> bool:
        """Tell whether a server describes the version otherwise than the others."""
        return version in self.replicas[index].descriptions and not self.has(index, version)

    def holders(self, version: int) -> list[int]:
        """Return the servers that have the version.

        Those that did not answer the last poll count only if no other has it.
        """
        indices = [i for i in range(len(self.replicas)) if self.has(i, version)]
        return [i for i in indices if self.replicas[i].problem is None] or indices

    def has_reachable(self, version: int) -> bool:
        """Tell whether a server that answered the last poll has the version."""
        return any(self.replicas[i].problem is None for i in self.holders(version))

    def forgetting(self) -> ReplicaSet:
        """Return the same without the references that no server has any more.

        The number may come back with another model. Until a server answers, all are kept.
        """
        if all(replica.problem for replica in self.replicas):
            return self
        kept = {v: each for v, each in self.references.items() if self.has_reachable(v)}
        return replace(self, references=kept)

    def address_state(self, index: int, address: str) -> AddressState:
        """Return the state of a server."""
        replica = self.replicas[index]
        available = sorted(replica.available, reverse=True)
        differing = [version for version in available if self.differs(index, version)]
        usable = tuple(version for version in available if version not in differing)
        return AddressState(address, replica.problem, usable, tuple(differing))

    def statuses(self) -> list[VersionStatus]:
        """Return the state of each version, newest first.

        Raises the ServingFault of an address if none answered the last poll.
        """
        answered = [i for i, replica in enumerate(self.replicas) if replica.problem is None]
        if not answered:
            raise next(each.problem for each in self.replicas if each.problem)
        told: dict[int, VersionStatus] = {}
        for status in (each for i in answered for each in self.replicas[i].versions):
            if status.state != AVAILABLE:
                told.setdefault(status.version, status)
        for version in set[int]().union(*(self.replicas[i].available for i in answered)):
            has = [i for i in answered if version in self.replicas[i].available]
            if self.has_reachable(version):
                number = sum(not self.differs(i, version) for i in has)
                told[version] = VersionStatus(version, AVAILABLE, "", number)
        return [told[version] for version in sorted(told, reverse=True)]
