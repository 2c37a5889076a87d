"""Ask two versions of a model about the same images, and sum up where they differ."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, quantiles
from typing import Any

from scripts.classification.rows import Class, classes_of
from scripts.errors import ScriptError
from scripts.gateway.client import Choice, GatewayClient, Refused, most_classes
from scripts.versions.samples import Sample

TOP_K = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of one version for one image."""

    classes: tuple[Class, ...]
    """The best classes, best first."""

    version: int
    milliseconds: float

    @property
    def best(self) -> Class:
        """The class with the highest score."""
        return self.classes[0]

    def score_of(self, class_id: str) -> float:
        """Return the score of a class; for one that is not in the response, the lowest that is."""
        scores = {found.class_id: found.score for found in self.classes}
        return scores.get(class_id, self.classes[-1].score)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both responses for one image, or the reason why one is missing."""

    sample: Sample
    before: Answer | None = None
    after: Answer | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """Where the image comes from."""
        return self.sample.name

    @property
    def agrees(self) -> bool:
        """Whether both versions have the same best class."""
        ours, theirs = self.answers()
        return ours.best.class_id == theirs.best.class_id

    @property
    def shift(self) -> float:
        """How much the score of the first version's best class differs in the second one."""
        ours, theirs = self.answers()
        return theirs.score_of(ours.best.class_id) - ours.best.score

    def answers(self) -> tuple[Answer, Answer]:
        """Return both responses for an image without an error."""
        if self.before is None or self.after is None:
            raise ValueError(f"{self.name} has no responses: {self.error}")
        return self.before, self.after


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of one version in milliseconds."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All images of a comparison."""

    model: str
    names: tuple[str, str]
    """How the two versions were named: by number or label."""

    pairs: Sequence[Pair]

    @property
    def answered(self) -> list[Pair]:
        """The images that both versions have classified."""
        return [pair for pair in self.pairs if not pair.error]

    @property
    def changed(self) -> list[Pair]:
        """The images with another best class, the highest scores of the first version first."""
        found = [pair for pair in self.answered if not pair.agrees]
        return sorted(found, key=lambda pair: -pair.answers()[0].best.score)

    @property
    def agreement(self) -> float:
        """Share of the images with the same best class."""
        return 1 - len(self.changed) / len(self.answered)

    @property
    def shifts(self) -> list[float]:
        """The absolute score shift of each image."""
        return [abs(pair.shift) for pair in self.answered]

    @property
    def latencies(self) -> tuple[Latency, Latency]:
        """The times of both versions."""
        times = [[answer.milliseconds for answer in pair.answers()] for pair in self.answered]
        before, after = zip(*times, strict=True)
        return latency(before), latency(after)

    def summary(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        before, after = self.latencies
        return {
            "model": self.model,
            "versions": list(self.names),
            "pictures": len(self.pairs),
            "errors": len(self.pairs) - len(self.answered),
            "changed": len(self.changed),
            "top1_agreement": self.agreement,
            "mean_score_shift": mean(self.shifts),
            "largest_score_shift": max(self.shifts),
            "median_ms": [before.median, after.median],
            "p95_ms": [before.p95, after.p95],
        }

    def moves(self) -> list[tuple[str, str, int]]:
        """Return from which class to which images have changed, the most frequent first."""
        pairs = (pair.answers() for pair in self.changed)
        counted = Counter((before.best.label, after.best.label) for before, after in pairs)
        return [(old, new, count) for (old, new), count in counted.most_common()]


def latency(times: Sequence[float]) -> Latency:
    """Return median and 95th percentile."""
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return Latency(median(times), min(p95, max(times)))


def choice_of(described: Mapping[str, Any], name: str) -> Choice:
    """Return how a version, named by its number or label, is asked; raise ScriptError if it is not
    available."""
    if described["output"]["activation"] == "raw":
        raise ScriptError(
            f"Model {described['name']} returns values instead of scores of classes, so its "
            "versions have no best class to compare."
        )
    available = [v["version"] for v in described["versions"] if v["state"] == "AVAILABLE"]
    labels = described["version_labels"]
    top_k = min(TOP_K, most_classes(described))
    if name in labels:
        return Choice(model=described["name"], label=name, top_k=top_k)
    if name.isdecimal() and int(name) in available:
        return Choice(model=described["name"], version=int(name), top_k=top_k)
    raise ScriptError(
        f"Model {described['name']} has no version {name} that is available; there are "
        f"{', '.join(map(str, [*sorted(available), *labels]))}. A version is available while "
        "versions or version_labels in models.toml name it."
    )


def compare(
    client: GatewayClient,
    choices: tuple[Choice, Choice],
    samples: Iterable[Sample],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Pair]:
    """Yield both responses for each image.

    The versions are asked one after the other and take turns in being first, so that neither has a
    warmer cache. The first image is asked about once more before, which is not measured.
    """
    for number, sample in enumerate(samples):
        if number == 0:
            _pair(client, choices, sample, clock)
        pair = _pair(client, choices if number % 2 == 0 else choices[::-1], sample, clock)
        is_turned = number % 2 == 1 and not pair.error
        yield Pair(sample, pair.after, pair.before) if is_turned else pair


def _pair(
    client: GatewayClient,
    choices: tuple[Choice, Choice],
    sample: Sample,
    clock: Callable[[], float],
) -> Pair:
    try:
        picture = sample.read()
        first, second = (_answer(client, picture, choice, clock) for choice in choices)
    except Refused as error:
        return Pair(sample, error=error.detail)
    except OSError as error:
        return Pair(sample, error=error.strerror or str(error))
    return Pair(sample, first, second)


def _answer(
    client: GatewayClient, picture: bytes, choice: Choice, clock: Callable[[], float]
) -> Answer:
    began = clock()
    answer = client.predict(picture, choice)
    milliseconds = (clock() - began) * 1000
    return Answer(classes_of(answer), int(answer["version"]), milliseconds)
