"""The largest allowed images, many at once, in a container of 1 GB: 503, not the OOM killer.

That each image takes no more memory than is reserved for it is tested in
``tests/flask_server/inference/test_image_memory.py``.
"""

from __future__ import annotations

import http.client
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.waiting import eventually

if not sys.platform.startswith("linux"):
    pytest.skip("control groups are needed", allow_module_level=True)

from flask_server.imaging.decoding import read_header
from flask_server.settings import Settings
from tests.attack.usage import MB, children
from tests.flask_server.gunicorn_process import running_gateway
from tests.flask_server.stub_serving import StubServing
from tests.resilience.form import FORM, IS_LONG
from tests.resilience.memory_cgroup import MemoryCgroup, memory_cgroup
from tests.resilience.results import record
from tests.strangers.files import saved

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Of the container: what the page of settings promises for the default.
LIMIT = 1_000_000_000
DEFAULTS = Settings()
AT_ONCE = 24
RIGHT = (200, "application/json", "")
REFUSED = (503, "application/problem+json", "1")
TURNS = 5 if IS_LONG else 1


def decoded_bytes(image: bytes) -> int:
    """The memory that the gateway reserves to decode an image."""
    return read_header(image, max_pixels=DEFAULTS.max_pixels).peak_bytes


@dataclass(frozen=True)
class Kind:
    """How images of a kind are made, and which of the gateway's limits their size reaches."""

    mode: str
    file_format: str
    options: dict[str, Any]
    bytes_per_pixel: int = 0
    """Of the file, where it is not compressed."""

    def image(self, side: int) -> bytes:
        return saved(Image.new(self.mode, (side, side)), self.file_format, **self.options)

    def largest(self) -> bytes:
        """The largest image that the gateway takes, by pixels, by memory and by bytes."""
        small = 2000  # the memory that does not depend on the size hardly counts
        decoded = decoded_bytes(self.image(small)) / small**2
        pixels = min(DEFAULTS.max_pixels, 0.99 * DEFAULTS.max_memory / decoded)
        if self.bytes_per_pixel:
            pixels = min(pixels, 0.99 * DEFAULTS.max_body_bytes / self.bytes_per_pixel)
        return self.image(int(pixels**0.5))


KINDS = (
    Kind("RGB", "WEBP", {"lossless": True, "quality": 0, "method": 0}),
    Kind("RGB", "BMP", {}, bytes_per_pixel=3),
    Kind("RGB", "PNG", {"compress_level": 1}),
    Kind("RGBA", "PNG", {"compress_level": 1}),
    Kind("RGB", "JPEG", {"progressive": True}),
)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(Kind.largest, KINDS if IS_LONG else KINDS[:2]))


@contextmanager
def watched(group: MemoryCgroup) -> Iterator[list[int]]:
    """Look at the memory of a control group all the time; yields the list of what was seen."""
    seen, done = [group.resident], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(group.resident)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def post(url: str, data: bytes) -> tuple[int, str, str]:
    """Return status, content type and ``Retry-After`` of the response."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    with closing(connection):
        headers = {"Content-Type": "application/octet-stream"}
        connection.request("POST", "/models/toy/predict", data, headers)
        response = connection.getresponse()
        response.read()
        kind, later = response.headers["Content-Type"], response.headers["Retry-After"]
        return response.status, kind, later or ""


def test_the_largest_images_are_refused_before_memory_ends(
    images: list[bytes], tmp_path: Path
) -> None:
    assert max(map(decoded_bytes, images)) > 0.9 * DEFAULTS.max_memory
    settings: dict[str, Any] = {
        "GATEWAY_WORKERS": str(DEFAULTS.workers),
        "GATEWAY_DEADLINE_S": str(FORM.large_images_s),
        "GUNICORN_CMD_ARGS": f"--pid {tmp_path / 'pid'}",
    }
    with (
        StubServing().running() as serving,
        memory_cgroup(LIMIT) as group,
        running_gateway(tmp_path, serving.url, prefix=group.prefix, **settings) as url,
    ):
        pid = int((tmp_path / "pid").read_text())
        small = saved(Image.new("RGB", (64, 64)), "PNG")
        assert post(url, small) == RIGHT
        assert eventually(lambda: len(children(pid)) == DEFAULTS.workers)
        workers = children(pid)
        with watched(group) as seen, ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [images[turn % len(images)] for turn in range(AT_ONCE * TURNS)]
            answers = Counter(pool.map(lambda data: post(url, data), asked))
        after = children(pid)
        assert post(url, small) == RIGHT
        assert group.kills == 0

    record(
        "memory",
        limit_mb=LIMIT / MB,
        before_mb=seen[0] / MB,
        peak_mb=max(seen) / MB,
        requests=len(asked),
        statuses={str(status): count for (status, *_), count in sorted(answers.items())},
    )
    assert after == workers
    assert REFUSED in answers
    assert set(answers) <= {RIGHT, REFUSED, (504, "application/problem+json", "")}
