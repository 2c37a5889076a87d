"""Compare Ray Serve, with both of its proxies, with one plain model server.

``python -m tests.deploy.ray_figures`` writes a table for docs/ray.md; ``make ray`` runs it.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from benchmarks import machine
from benchmarks.load import LoadError, LoadTarget, load
from scripts.demo_model import prepare
from tests.deploy.ray_cluster import ray_cluster, wait_for, why_not
from tests.running import ROOT, model_config, model_server

SECONDS = 5.0
CONNECTIONS = (1, 16)
START_S = 120


@dataclass(frozen=True)
class Subject:
    """A model and the bodies of its requests."""

    name: str
    base_path: Path
    bodies: list[bytes]

    @property
    def path(self) -> str:
        return f"/v1/models/{self.name}:predict"


def body(picture: Path, size: int, mode: str) -> bytes:
    """A predict request for the signature ``pixels``."""
    with Image.open(picture) as image:
        pixels = image.convert(mode).resize((size, size), Image.Resampling.BILINEAR).tobytes()
    row = {"b64": base64.b64encode(pixels).decode()}
    return orjson.dumps({"signature_name": "pixels", "instances": [row]})


def subjects(folder: Path) -> list[Subject]:
    """The digits, and the demo model where its weights can be had."""
    pictures = ROOT / "test_images"
    digits = [body(pictures / f"digit_{digit}.png", 32, "L") for digit in range(10)]
    found = [Subject("digits", ROOT / "my_digit_classifier", digits)]
    base = folder / "efficientnet_lite0"
    prepare(base)
    spec = orjson.loads(next(base.glob("*/assets.extra/model_spec.json")).read_bytes())
    size = spec["input"]["height"]
    files = [pictures / name for name in ("cat.jpg", "coffee.jpg", "rocket.jpg")]
    return [*found, Subject("demo", base, [body(file, size, "RGB") for file in files])]


def best_class(url: str, data: bytes) -> int:
    """The class that a server finds for a request; the expectation for all others."""
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(np.argmax(orjson.loads(response.read())["predictions"][0]))


def write_requests(subject: Subject, root: str, file: Path) -> Path:
    """Write what ``benchmarks.load`` sends, with the classes that the plain server finds."""
    out = io.BytesIO()
    for data in subject.bodies:
        out.write(b"%d\t%s\n" % (best_class(root + subject.path, data), data))
    file.write_bytes(out.getvalue())
    return file


def measure(name: str, subject: Subject, root: str, requests: Path) -> None:
    """Print a row for each number of connections."""
    target = LoadTarget(root + subject.path, requests, "application/json", "argmax")
    best_class(target.url, subject.bodies[0])
    for connections in CONNECTIONS:
        try:
            found: Any = load(target, connections, SECONDS)
        except LoadError as error:
            say(f"| {subject.name} | {name} | {connections} | {error} |")
            continue
        bad = found["wrong"] + found["refused"] + found["broken"]
        say(
            f"| {subject.name} | {name} | {connections} | {found['requests_per_s']:.0f}"
            f" | {found['p50_ms']:.1f} | {found['p99_ms']:.1f} | {bad}"
            f" | {machine.load_average():.0f} |"
        )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def plain(subject: Subject, folder: Path) -> Iterator[str]:
    """One model server, on all cores."""
    with model_server(model_config({subject.name: subject.base_path}), folder) as root:
        yield root


@contextmanager
def on_ray(subject: Subject, replicas: int, *, haproxy: bool) -> Iterator[str]:
    """Replicas on the only node beside the head; clients ask at the head, as with one address."""
    with ray_cluster(1, haproxy=haproxy) as cluster:
        cluster.deploy(
            f"--model_name={subject.name}",
            f"--model_base_path={subject.base_path}",
            f"--ray_min_replicas={replicas}",
            f"--ray_max_replicas={replicas}",
        )
        cluster.watch()
        wait_for(lambda: cluster.replicas == replicas, START_S)
        say(f"| {subject.name} | memory of {replicas} replicas | | {memory(cluster)} |")
        yield cluster.url


def memory(cluster: Any) -> str:
    """What the processes of head and node take, in MB; shared pages are shared out."""
    sizes = {node.name: sum(map(pss_mb, node.pids)) for node in (cluster.head, *cluster.nodes)}
    return ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())


def pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def compare(subject: Subject, folder: Path) -> None:
    """Measure the plain server before and after the others: the machine may change meanwhile."""
    requests = folder / f"{subject.name}.requests"
    with plain(subject, folder) as root:
        write_requests(subject, root, requests)
        measure("plain", subject, root, requests)
    ways: dict[str, Callable[[], Any]] = {
        "proxy, 1 replica": lambda: on_ray(subject, 1, haproxy=False),
        "proxy, 2 replicas": lambda: on_ray(subject, 2, haproxy=False),
        "HAProxy, 1 replica": lambda: on_ray(subject, 1, haproxy=True),
        "HAProxy, 2 replicas": lambda: on_ray(subject, 2, haproxy=True),
    }
    for name, started in ways.items():
        with started() as root:
            measure(name, subject, root, requests)
    with plain(subject, folder) as root:
        measure("plain again", subject, root, requests)


def main() -> None:
    reason = why_not()
    if reason is not None:
        sys.exit(reason)
    facts = machine.describe()
    say(f"{machine.now()}, {facts['processor']}, {facts['cores']} cores")
    say("| model | server | connections | requests/s | p50 ms | p99 ms | failed | load average |")
    with tempfile.TemporaryDirectory() as name:
        for subject in subjects(Path(name)):
            compare(subject, Path(name))


if __name__ == "__main__":
    main()
