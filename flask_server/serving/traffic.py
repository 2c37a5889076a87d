"""Which versions get the requests that name none, and which get copies: ``split`` and ``shadow``.

Pure: the labels were resolved by the last poll.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flask_server.serving.live_model import LiveModel
from model_catalog.model_entry import ModelEntry


@dataclass(frozen=True, slots=True)
class Traffic:
    """The split and shadow labels of a model at its last poll."""

    split: Mapping[str, float] = field(default_factory=dict)
    """Weight of each label; the first one is the default label. Empty: no split."""

    shadow: Mapping[str, float] = field(default_factory=dict)
    """Percent of the requests that are copied to each label."""

    versions: Mapping[str, LiveModel] = field(default_factory=dict)
    """The usable version of each label above."""

    problems: Mapping[str, str] = field(default_factory=dict)
    """Why the other labels have no usable version."""

    def choose(self, point: float) -> LiveModel | None:
        """Return the version for a point from 0 to 1 (exclusive); None means the newest one.

        The default label takes the last part of the range, so that the points of another label stay
        with that label when its weight grows. A label without a usable version leaves its part to
        the default label.
        """
        if not self.split:
            return None
        default, *others = self.split
        total, end = sum(self.split.values()), 0.0
        for label in others:
            end += self.split[label] / total
            if point < end:
                return self.versions.get(label) or self.versions.get(default)
        return self.versions.get(default)

    @property
    def labels(self) -> list[str]:
        """The labels that get requests or copies: the default label, and those with a share."""
        default = [*self.split][:1]
        shares = [*self.split.items(), *self.shadow.items()]
        return list(dict.fromkeys([*default, *(label for label, share in shares if share)]))

    @property
    def warnings(self) -> Iterator[str]:
        """Sentences about the labels that cannot get their requests or copies."""
        default = next(iter(self.split), None)
        for label in self.labels:
            problem = self.problems.get(label)
            if problem and label in self.split:
                other = "the newest version" if label == default else f"label {default}"
                yield (
                    f"Label {label} of split has no usable version ({problem}); its requests go to"
                    f" {other}."
                )
            if problem and label in self.shadow:
                yield (
                    f"Label {label} of shadow has no usable version ({problem}); nothing is copied"
                    " to it."
                )
            elif label in self.shadow and not is_comparable(self.versions[label]):
                yield (
                    f"Label {label} of shadow names a version without a score for each class;"
                    " nothing is copied to it."
                )


def is_comparable(live: LiveModel) -> bool:
    """Tell whether the version has scores of all classes, which can be compared with another's."""
    return live.reads_scores and live.spec.output.activation != "raw"


def labels_of(entry: ModelEntry) -> list[str]:
    """Return the labels that the models file names in ``split`` or ``shadow``."""
    return list(dict.fromkeys([*entry.split, *entry.shadow]))
