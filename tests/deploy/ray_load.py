"""Clients of a gateway that ask without a pause, and what they were answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.running import ROOT, write_models_file

PROBLEM = "application/problem+json"
PICTURES = {
    digit: (ROOT / "test_images" / f"digit_{digit}.png").read_bytes() for digit in range(10)
}


@dataclass(frozen=True)
class Seen:
    """One answer of the gateway."""

    at: float
    status: int
    media_type: str
    digit: int
    version: int
    label: str
    code: str
    detail: str

    def is_right(self, labels: Mapping[int, str]) -> bool:
        """Tell whether it has the label that its version has for the digit of the picture."""
        return self.status == 200 and self.label == labels[self.version][self.digit]

    @property
    def is_refusal(self) -> bool:
        """Tell whether it says in the documented form that the client may try again."""
        return self.status in (503, 504) and self.media_type == PROBLEM


@dataclass
class Observed:
    """All answers, in the order of their arrival."""

    seen: list[Seen] = field(default_factory=list)

    def wrong(self, labels: Mapping[int, str]) -> list[Seen]:
        return [one for one in self.seen if not one.is_right(labels) and not one.is_refusal]

    def refusals(self, since: float = 0.0) -> list[Seen]:
        return [one for one in self.seen if one.is_refusal and one.at >= since]

    def summary(self, since: float) -> str:
        """The answers since a moment by status, and the last one that was no result."""
        kinds = Counter(f"{one.status} {one.code}".strip() for one in self.seen if one.at >= since)
        failures = [one.at - since for one in self.seen if one.status != 200 and one.at >= since]
        last = f"; the last failure after {failures[-1]:.1f} s" if failures else ""
        return ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common()) + last


@contextmanager
def gateway_app(serving_url: str, folder: Path) -> Iterator[Flask]:
    """Run a gateway with its default deadline in this process."""
    file = write_models_file({"digits": folder / "digits"}, folder)
    app = create_app(Settings(serving_url=serving_url, models_file=file))
    try:
        yield app
    finally:
        close_app(app)


def ask(app: Flask, digit: int) -> Seen:
    """Post a picture of the digit."""
    response = app.test_client().post("/models/digits/predict?top_k=1", data=PICTURES[digit])
    document = response.get_json(silent=True) or {}
    best = document.get("predictions", [{"label": ""}])[0]
    return Seen(
        time.monotonic(),
        response.status_code,
        response.content_type,
        digit,
        document.get("version", 0),
        best["label"],
        document.get("code", ""),
        document.get("detail", ""),
    )


@contextmanager
def load(app: Flask, clients: int) -> Iterator[Observed]:
    """Let clients ask until the block ends."""
    observed, over = Observed(), threading.Event()

    def client(number: int) -> None:
        while not over.is_set():
            number += 1
            observed.seen.append(ask(app, number % 10))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield observed
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
