"""Ask a server the same questions over and over, as a caller that means well.

``python -m tests.attack.good_caller PORT QUESTIONS`` is a process of its own, so that the work of
an attack does not slow it down. For each line of its standard input it prints what it has
experienced since the line before; at the end of the input it ends.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.running import ROOT

#: Pause between two questions of one kind; the attack needs the processors as well.
PAUSE_S = 0.05
#: A caller that has waited for so long gives up.
PATIENCE_S = 60.0
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and a text that its answer of status 200 contains."""

    method: str
    path: str
    expected: str
    body: str = ""
    """In Latin-1, so that any bytes can be written."""

    kind: str = "application/json"


@dataclass(slots=True)
class Experience:
    """What happened to one question since the last report."""

    right: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Asker:
    """Asks one question until it is told to stop."""

    def __init__(self, port: int, question: Question) -> None:
        self._port, self._question = port, question
        self._began = time.monotonic()
        self._experience = Experience()
        self._lock = threading.Lock()

    def ask_forever(self) -> None:
        while True:
            with self._lock:
                self._began = time.monotonic()
            problem = self._problem()
            with self._lock:
                self._note(problem)
            time.sleep(PAUSE_S)

    def _problem(self) -> str:
        """Ask once; say what is wrong with the answer."""
        asked = self._question
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            body = asked.body.encode("latin-1") or None
            connection.request(asked.method, asked.path, body, {"Content-Type": asked.kind})
            response = connection.getresponse()
            text = response.read().decode("latin-1")
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        good = response.status == 200 and asked.expected in text
        return "" if good else f"{response.status} {text[:200]}"

    def _note(self, problem: str) -> None:
        seen = self._experience
        seen.slowest_s = max(seen.slowest_s, time.monotonic() - self._began)
        if not problem:
            seen.right += 1
        elif len(seen.wrong) < _SHOWN:
            seen.wrong.append(problem)
        self._began = time.monotonic()

    def report(self) -> Experience:
        """What has happened since the last report; a question that waits still counts."""
        with self._lock:
            seen, self._experience = self._experience, Experience()
            seen.slowest_s = max(seen.slowest_s, time.monotonic() - self._began)
        return seen


def main(port: int, questions: Sequence[Question]) -> None:
    askers = [Asker(port, question) for question in questions]
    for asker in askers:
        threading.Thread(target=asker.ask_forever, daemon=True).start()
    for _ in sys.stdin:
        sys.stdout.write(json.dumps([asdict(asker.report()) for asker in askers]) + "\n")
        sys.stdout.flush()


class GoodCaller:
    """The process, seen from a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def report(self) -> list[Experience]:
        """What has happened since the last report, one entry per question."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [Experience(**entry) for entry in json.loads(self._process.stdout.readline())]

    def wait_for_answers(self, least: int, seconds: float) -> list[Experience]:
        """Report once every question has been asked that often, or the time is over."""
        end, total = time.monotonic() + seconds, self.report()
        while time.monotonic() < end and any(e.right + len(e.wrong) < least for e in total):
            time.sleep(0.05)
            total = [both(*pair) for pair in zip(total, self.report(), strict=True)]
        return total


def both(one: Experience, other: Experience) -> Experience:
    """Two reports as one."""
    slowest = max(one.slowest_s, other.slowest_s)
    return Experience(one.right + other.right, slowest, (one.wrong + other.wrong)[:_SHOWN])


@contextmanager
def good_caller(port: int, questions: Sequence[Question]) -> Iterator[GoodCaller]:
    """Run a good caller until the block ends."""
    asked = json.dumps([asdict(question) for question in questions])
    command = [sys.executable, "-m", "tests.attack.good_caller", str(port), asked]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield GoodCaller(process)
        finally:
            process.terminate()


if __name__ == "__main__":
    parsed: list[dict[str, Any]] = json.loads(sys.argv[2])
    main(int(sys.argv[1]), [Question(**entry) for entry in parsed])
