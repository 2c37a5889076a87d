"""Tiny files of large pictures, many at once, keep the gateway within its memory."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.attack.pictures import CODED, coded
from tests.flask_server.gunicorn_process import running_gateway
from tests.flask_server.stub_serving import StubServing
from tests.strangers.files import saved

MB = 1024 * 1024
BUDGET = 128 * MB
#: Beside the budget: pools of the allocator, drawn pictures, threads.
SLACK = 64 * MB

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def bombs() -> list[bytes]:
    """Files of a few kB of which each takes 60 to 120 MB to decode."""
    wide = (3000, 2000)
    return [
        saved(Image.new("RGB", wide), "WEBP", lossless=True),
        saved(Image.new("LA", (4000, 3000)), "PNG"),
        saved(Image.new("P", (5000, 4000)), "GIF", transparency=0),
        saved(Image.new("RGBA", wide), "PNG"),
        saved(Image.new("RGB", wide), "JPEG", progressive=True, subsampling=0),
        saved(Image.new("RGB", wide), "TIFF", compression="tiff_deflate"),
        *map(coded, CODED),
    ]


def post(url: str, data: bytes, accept: str) -> int:
    request = urllib.request.Request(url + "/models/toy/predict", data, {"Accept": accept})
    request.add_header("Content-Type", "application/octet-stream")
    try:
        with urllib.request.urlopen(request, timeout=150) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def gateways(port: str) -> Iterator[Path]:
    """The processes that serve on a port: gunicorn and its worker."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gunicorn" in command and f"127.0.0.1:{port}".encode() in command:
            yield process


def peak(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_many_large_pictures_stay_within_the_budget(tmp_path: Path) -> None:
    settings = {
        "GATEWAY_MAX_MEMORY": str(BUDGET),
        "GATEWAY_MAX_BODY_BYTES": str(MB),
        "GATEWAY_DEADLINE_S": "100",
    }
    files = bombs()
    with (
        StubServing().running() as serving,
        running_gateway(tmp_path, serving.url, **settings) as url,
    ):
        small = saved(Image.new("RGB", (64, 64)), "PNG")
        assert post(url, small, "application/json") == 200
        processes = list(gateways(url.rpartition(":")[2]))
        before = {process: peak(process) for process in processes}
        with ThreadPoolExecutor(12) as pool:
            kinds = ["application/json", "image/jpeg"]
            asked = [
                pool.submit(post, url, file, kinds[turn % 2]) for turn in range(4) for file in files
            ]
            statuses = [future.result() for future in asked]
        grown = {process: peak(process) - before[process] for process in processes}

        assert post(url, small, "application/json") == 200

    # AVIF and HEIC alone need more than this budget.
    assert set(statuses) <= {200, 413, 503}
    assert statuses.count(200) >= len(statuses) / 2
    assert len(processes) >= 2
    assert max(grown.values()) <= BUDGET + SLACK
