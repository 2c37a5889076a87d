"""Compare Ray Serve, with both of its proxies, with one plain model server.

``python -m tests.deploy.ray_figures`` writes a table for docs/ray.md; ``make ray`` runs it.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from benchmarks import machine
from benchmarks.load import LoadError, LoadTarget, load
from benchmarks.processes import cpu_s
from scripts.demo_model import prepare
from tests.conftest import children
from tests.deploy.ray_cluster import RayCluster, ray_cluster, why_not
from tests.running import ROOT, model_config, model_server

COLUMNS = (
    *("model", "server", "connections", "requests/s", "CPU ms per request"),
    *("p50 ms", "p99 ms", "failed", "load average"),
)
SECONDS = 5.0
CONNECTIONS = (1, 16)


@dataclass(frozen=True)
class Subject:
    """A model and the bodies of its requests."""

    name: str
    base_path: Path
    bodies: list[bytes]
    requests: Path
    """The file that ``benchmarks.load`` reads."""

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
    """The digits, and the demo model."""
    pictures = ROOT / "test_images"
    digits = [body(pictures / f"digit_{digit}.png", 32, "L") for digit in range(10)]
    found = [Subject("digits", ROOT / "my_digit_classifier", digits, folder / "digits.tsv")]
    base = folder / "efficientnet_lite0"
    prepare(base)  # fetches the weights
    spec = orjson.loads(next(base.glob("*/assets.extra/model_spec.json")).read_bytes())
    size = spec["input"]["height"]
    files = [pictures / name for name in ("cat.jpg", "coffee.jpg", "rocket.jpg")]
    return [
        *found,
        Subject("demo", base, [body(file, size, "RGB") for file in files], folder / "demo.tsv"),
    ]


def best_class(url: str, data: bytes) -> int:
    """The class that a server finds for a request; the expectation for all others."""
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(np.argmax(orjson.loads(response.read())["predictions"][0]))


def write_requests(subject: Subject, root: str) -> None:
    """Write what ``benchmarks.load`` sends, with the classes that the plain server finds."""
    out = io.BytesIO()
    for data in subject.bodies:
        out.write(b"%d\t%s\n" % (best_class(root + subject.path, data), data))
    subject.requests.write_bytes(out.getvalue())


def measure(name: str, root: str, measured: list[Subject], pids: list[int]) -> None:
    """Print a row for each model and number of connections."""
    for subject in measured:
        target = LoadTarget(root + subject.path, subject.requests, "application/json", "argmax")
        best_class(target.url, subject.bodies[0])
        for connections in CONNECTIONS:
            cells = " | ".join(figures(target, connections, pids))
            say(f"| {subject.name} | {name} | {connections} | {cells} |")


def figures(target: LoadTarget, connections: int, pids: list[int]) -> list[str]:
    """The cells of a row; CPU time depends less on what else the machine does."""
    cpu: list[float] = []
    try:
        found: Any = load(target, connections, SECONDS, lambda: cpu.append(cpu_s(pids)))
    except LoadError as error:
        return [str(error)]
    cpu_ms = 1000 * (cpu[1] - cpu[0]) / max(found["answers"], 1)
    return [
        f"{found['requests_per_s']:.0f}",
        f"{cpu_ms:.2f}",
        f"{found['p50_ms']:.1f}",
        f"{found['p99_ms']:.1f}",
        str(found["wrong"] + found["refused"] + found["broken"]),
        f"{machine.load_average():.0f}",
    ]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure_ray(name: str, config: Path, measured: list[Subject], *, haproxy: bool) -> None:
    """Measure one and two replicas on a node beside the head; clients ask at the head."""
    with ray_cluster(1, haproxy=haproxy, cpus=4) as cluster:
        for replicas in (1, 2):
            limits = (f"--ray_min_replicas={replicas}", f"--ray_max_replicas={replicas}")
            cluster.deploy(f"--model_config_file={config}", *limits)
            measure(f"{name}, {replicas}", cluster.url, measured, pids_of(cluster))
        say(f"{name}, memory: {memory(cluster)}")


def pids_of(cluster: RayCluster) -> list[int]:
    return [pid for node in cluster.all_nodes for pid in node.pids]


def memory(cluster: RayCluster) -> str:
    """What the processes of head and node take, in MB; shared pages are shared out."""
    sizes = {node.name: sum(map(pss_mb, node.pids)) for node in cluster.all_nodes}
    return ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())


def pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Measure the plain server before and after the others: the machine may change meanwhile."""
    reason = why_not()
    if reason is not None:
        sys.exit(reason)
    facts = machine.describe()
    say(f"{machine.now()}, {facts['processor']}, {facts['cores']} cores")
    say(f"| {' | '.join(COLUMNS)} |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = subjects(folder)
        config = model_config({subject.name: subject.base_path for subject in measured})
        with model_server(config, folder) as root:
            for subject in measured:
                write_requests(subject, root)
            measure("one server", root, measured, list(children()))
        file = folder / "models.config"  # of the server
        measure_ray("Ray's proxy, replicas", file, measured, haproxy=False)
        measure_ray("HAProxy, replicas", file, measured, haproxy=True)
        with model_server(config, folder) as root:
            measure("one server, again", root, measured, list(children()))


if __name__ == "__main__":
    main()
