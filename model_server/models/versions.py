"""Find the versions of a model in its base path, and select those to serve by a version policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_NUMBER: Final = re.compile(r"\s*\+?(\d+)\s*", re.ASCII)
_BIGGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one version of a model, and the error that ended it."""

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""


class Policy(Protocol):
    """A version policy: selects the versions to serve."""

    def choose(self, versions: Iterable[int]) -> set[int]:
        """Return the versions that should serve."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The highest ``count`` versions."""

    count: int = 1

    def choose(self, versions: Iterable[int]) -> set[int]:
        """Return the versions that should serve."""
        return set(sorted(versions)[-max(self.count, 1) :])


@dataclass(frozen=True, slots=True)
class All:
    """Every version on disk."""

    def choose(self, versions: Iterable[int]) -> set[int]:
        """Return the versions that should serve."""
        return set(versions)


@dataclass(frozen=True, slots=True)
class Specific:
    """The listed versions that exist on disk."""

    versions: frozenset[int]

    def choose(self, versions: Iterable[int]) -> set[int]:
        """Return the versions that should serve."""
        return set(self.versions).intersection(versions)


@dataclass(frozen=True, slots=True)
class RequestLogging:
    """Which requests of a model are logged, and where."""

    sampling_rate: float
    """The share of requests that is logged, above 0 and at most 1."""

    filename_prefix: str
    """The absolute path with which the names of the log files start."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The configuration of one model."""

    name: str
    base_path: Path
    policy: Policy = Latest()
    labels: Mapping[str, int] | None = None
    logging: RequestLogging | None = None


def numbered(names: Iterable[str]) -> dict[int, str]:
    """Return the names that are version numbers, by number; of ``1`` and ``001`` only one."""
    found: dict[int, str] = {}
    for name in sorted(names):
        match = _NUMBER.fullmatch(name)
        if match and int(match[1]) <= _BIGGEST:
            found[int(match[1])] = name
    return found


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """Return the children named like a version, by number; raise OSError if the path is missing."""
    names = [child.name for child in base_path.iterdir()]
    return {version: base_path / name for version, name in numbered(names).items()}
