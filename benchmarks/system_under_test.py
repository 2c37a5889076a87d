"""Name a system under load: where and how it is asked, and what processes it consists of."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np

from benchmarks.figures import Json
from benchmarks.fixtures import FOLDER, Fixture
from benchmarks.load import Target, load
from benchmarks.pictures import resized
from benchmarks.processes import cpu_s, family, resident_mb
from model_catalog.labels import imagenet_labels

#: The first class in an answer is the best one.
CLASS_ID = '(n%d%d%d%d%d%d%d%d)"'


_SETTLE_S = 60
_LOOK_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One running system."""

    name: str
    url: str

    form: str = "image"
    """How it is asked, one of FORMS."""

    processes: Mapping[str, int] = field(default_factory=dict)
    """The first process of each of its parts, each the leader of a group."""

    polls: bool = False
    """Whether it costs CPU time while nobody asks, so that it must sleep while others are asked."""

    def measure(self, fixture: Fixture, connections: int, seconds: float) -> Json:
        """Return throughput, latencies, and the CPU time of each part per answer."""
        edges: list[dict[str, float]] = []
        target = self.target(fixture)
        result = load(target, connections, seconds, lambda: edges.append(self._cpu()))
        self._settle()
        before, after = edges[-2:]
        answers = max(result["answers"], 1)
        cpu_ms = {part: (after[part] - before[part]) / answers * 1000 for part in after}
        return result | {"cpu_ms": cpu_ms, "resident_mb": self.resident()}

    def target(self, fixture: Fixture) -> Target:
        """Return how the load generator asks about the fixture's pictures."""
        form = FORMS[self.form]
        path = FOLDER / "questions" / f"{fixture.model}-{self.form}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        expected = form.expected(fixture)
        bodies = [form.body(data, fixture) for data in fixture.pictures]
        lines = (f"{want}\t{body}\n" for want, body in zip(expected, bodies, strict=True))
        path.write_text("".join(lines))
        return Target(self.url, path, form.content_type, form.answer)

    def resident(self) -> Json:
        """Return the resident memory of each part in MB."""
        return {
            part: sum(resident_mb(member) for member in family(pid))
            for part, pid in self.processes.items()
        }

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let a system that polls run only inside the block."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _settle(self) -> None:
        """Wait until questions whose askers are gone are worked off: the next figure is not theirs.

        What a process does while nobody asks is less than a fifth of a core.
        """
        end = time.monotonic() + _SETTLE_S
        while time.monotonic() < end:
            before = self._cpu()
            time.sleep(_LOOK_S)
            if sum(self._cpu().values()) - sum(before.values()) < _LOOK_S / 5:
                return

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.processes.values() if self.polls else ():
            os.killpg(pid, number)

    def _cpu(self) -> dict[str, float]:
        return {part: cpu_s(family(pid)) for part, pid in self.processes.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a kind of system is asked and answers."""

    body: Callable[[bytes, Fixture], str]
    content_type: str = "application/json"
    answer: str = CLASS_ID

    def expected(self, fixture: Fixture) -> list[str]:
        """Return what must be found in each answer."""
        if self.answer != "argmax":
            return list(fixture.class_ids)
        index = {class_id: str(at) for at, (class_id, _) in enumerate(imagenet_labels())}
        return [index[class_id] for class_id in fixture.class_ids]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _image(data: bytes, _: Fixture) -> str:
    return json.dumps({"image": _b64(data)})


def _images(data: bytes, _: Fixture) -> str:
    return json.dumps({"images": [_b64(data)]})


def _urlencoded(data: bytes, _: Fixture) -> str:
    return f"b64={quote(_b64(data), safe='')}"


def _pixels(data: bytes, fixture: Fixture) -> str:
    pixels = _b64(resized(data, fixture.side).tobytes())
    return json.dumps({"signature_name": "pixels", "instances": [{"b64": pixels}]})


def _floats(data: bytes, fixture: Fixture) -> str:
    levels = np.asarray(resized(data, fixture.side), np.float32)
    rows = (levels / np.float32(127.5) - np.float32(1)).astype(np.float64).round(6).tolist()
    return json.dumps({"instances": [rows]}, separators=(",", ":"))


FORMS = {
    "image": Form(body=_image),
    "images": Form(body=_images),
    "form": Form(body=_urlencoded, content_type="application/x-www-form-urlencoded"),
    "pixels": Form(body=_pixels, answer="argmax"),
    "floats": Form(body=_floats, answer="argmax"),
}
