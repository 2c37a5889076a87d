"""A system under test: its URL, the format of its requests, and its processes."""

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
from benchmarks.load import LoadTarget, load
from benchmarks.pictures import resized
from benchmarks.processes import cpu_s, process_tree, resident_mb
from model_catalog.labels import imagenet_labels

#: Lua pattern of a class id; the first one in an answer is the best class.
CLASS_ID = '(n%d%d%d%d%d%d%d%d)"'


_IDLE_TIMEOUT_S = 60
_POLL_S = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemUnderTest:
    """A running system that can be put under load."""

    name: str
    url: str

    form: str = "image"
    """Format of its requests, a key of FORMS."""

    processes: Mapping[str, int] = field(default_factory=dict)
    """The PID of the first process of each part; each leads a process group."""

    polls: bool = False
    """Whether it uses CPU time when idle, so that it is stopped while others are measured."""

    def measure(self, fixture: Fixture, connections: int, seconds: float) -> Json:
        """Return throughput, latencies, and the CPU time of each part per answer."""
        edges: list[dict[str, float]] = []
        target = self.target(fixture)
        result = load(target, connections, seconds, lambda: edges.append(self._cpu()))
        self._wait_until_idle()
        before, after = edges[-2:]
        answers = max(result["answers"], 1)
        cpu_ms = {part: (after[part] - before[part]) / answers * 1000 for part in after}
        return result | {"cpu_ms": cpu_ms, "resident_mb": self.resident()}

    def target(self, fixture: Fixture) -> LoadTarget:
        """Write the requests for the fixture's pictures, and return the load target."""
        form = FORMS[self.form]
        path = FOLDER / "requests" / f"{fixture.model}-{self.form}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        expected = form.expected(fixture)
        bodies = [form.body(data, fixture) for data in fixture.pictures]
        lines = (f"{want}\t{body}\n" for want, body in zip(expected, bodies, strict=True))
        path.write_text("".join(lines))
        return LoadTarget(self.url, path, form.content_type, form.answer)

    def resident(self) -> Json:
        """Return the resident memory of each part in MB."""
        return {
            part: sum(resident_mb(member) for member in process_tree(pid))
            for part, pid in self.processes.items()
        }

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Resume a system that polls for the duration of the block, and stop it afterwards."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _wait_until_idle(self) -> None:
        """Wait until requests of closed connections are processed, so that they cost nothing later.

        An idle system uses less than a fifth of a core.
        """
        end = time.monotonic() + _IDLE_TIMEOUT_S
        while time.monotonic() < end:
            before = self._cpu()
            time.sleep(_POLL_S)
            if sum(self._cpu().values()) - sum(before.values()) < _POLL_S / 5:
                return

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.processes.values() if self.polls else ():
            os.killpg(pid, number)

    def _cpu(self) -> dict[str, float]:
        return {part: cpu_s(process_tree(pid)) for part, pid in self.processes.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """The format of the requests and answers of a kind of system."""

    body: Callable[[bytes, Fixture], str]
    content_type: str = "application/json"
    answer: str = CLASS_ID

    def expected(self, fixture: Fixture) -> list[str]:
        """Return the expected class of each answer."""
        if self.answer != "argmax":
            return list(fixture.class_ids)
        index = {class_id: str(at) for at, (class_id, _) in enumerate(imagenet_labels())}
        return [index[class_id] for class_id in fixture.class_ids]


def base64_text(data: bytes) -> str:
    """Return the bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def _image(data: bytes, _: Fixture) -> str:
    return json.dumps({"image": base64_text(data)})


def _images(data: bytes, _: Fixture) -> str:
    return json.dumps({"images": [base64_text(data)]})


def _urlencoded(data: bytes, _: Fixture) -> str:
    return f"b64={quote(base64_text(data), safe='')}"


def _pixels(data: bytes, fixture: Fixture) -> str:
    pixels = base64_text(resized(data, fixture.side).tobytes())
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
