"""A Ray cluster of several nodes on this machine, each with a network namespace of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.running import ROOT

REST_PORT = 8501
GRPC_PORT = 8500
#: The machine may be busy.
START_S = 120
OBJECT_STORE_BYTES = 80 << 20

_NETWORK = "10.213.77"
_BRIDGE = "raybridge"
_GCS_PORT = 6380
_CONTROL = ("ip", "netns")


def why_not() -> str | None:
    """Return the reason why no cluster can be started here; None if one can."""
    if find_spec("ray") is None:
        return "Ray is not installed: make ray installs it into .venv-ray"
    if os.getuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and the command ip"
    probe = "ray-probe"
    made = subprocess.run([*_CONTROL, "add", probe], capture_output=True, check=False)
    subprocess.run([*_CONTROL, "delete", probe], capture_output=True, check=False)
    return None if made.returncode == 0 else "no network namespaces can be made here"


@dataclass
class Node:
    """A network namespace with an address, and the processes in it."""

    number: int

    @property
    def name(self) -> str:
        return f"ray-{self.number}"

    @property
    def address(self) -> str:
        return f"{_NETWORK}.{10 + self.number}"

    @property
    def pids(self) -> list[int]:
        told = _run(*_CONTROL, "pids", self.name)
        return [int(pid) for pid in told.split()]

    def command(self, *words: str) -> list[str]:
        """The command line that runs a program in the namespace."""
        return [*_CONTROL, "exec", self.name, *words]

    def kill(self) -> bool:
        """End all processes of the node, as a power failure would; tell whether none is left."""
        pids = self.pids
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    def unplug(self) -> None:
        """Cut the node off from the others; its processes stay."""
        _run("ip", "link", "set", self.name, "down")


class RayCluster:
    """A head without CPUs for replicas, and nodes that come and go."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._state = folder / "haproxy"
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            # Without it, a token that an earlier cluster left in the home folder counts for the
            # head and not for the nodes.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(self._state),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(self._state / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(self._state / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(self._state / "server-state"),
            # By default 8500, the gRPC port of the model server.
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": "18500",
            **env,
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.nodes: list[Node] = []
        self.head = Node(0)
        self.replicas = 0
        """The number of running replicas, half a second old."""

    @property
    def gcs(self) -> str:
        return f"{self.head.address}:{_GCS_PORT}"

    @property
    def url(self) -> str:
        """The REST API on the head."""
        return f"http://{self.head.address}:{REST_PORT}"

    @property
    def all_nodes(self) -> list[Node]:
        return [self.head, *self.nodes]

    def start(self, nodes: int, cpus: int = 2) -> None:
        """Start the head and some nodes."""
        _run("ip", "link", "add", _BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{_NETWORK}.1/24", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        self._connect(self.head)
        self._ray_start(
            self.head,
            "--head",
            f"--port={_GCS_PORT}",
            "--num-cpus=0",
            "--include-dashboard=false",
            f"--temp-dir={self._folder / 'ray'}",
        )
        for _ in range(nodes):
            self.add_node(cpus)

    def add_node(self, cpus: int = 2) -> Node:
        node = Node(len(self.nodes) + 1)
        self.nodes.append(node)
        self._connect(node)
        self._ray_start(node, f"--address={self.gcs}", f"--num-cpus={cpus}")
        return node

    def log(self, node: Node) -> str:
        return (self._folder / f"{node.name}.log").read_text(errors="replace")

    def deploy(self, *flags: str) -> None:
        """Deploy the application, which Ray serves on when the command ends."""
        words = [sys.executable, "-m", "deploy.ray", f"--ray_address={self.gcs}", "--ray_detach"]
        words += ["--rest_api_host=0.0.0.0", f"--rest_api_port={REST_PORT}", f"--port={GRPC_PORT}"]
        done = subprocess.run(
            self.head.command(*words, *flags),
            cwd=ROOT,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def watch(self) -> None:
        """Keep ``replicas`` up to date."""
        words = [sys.executable, "-m", "tests.deploy.ray_status", self.gcs]
        process = self._popen(self.head, words)

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip().isdigit():  # Ray writes about lost nodes in between
                    self.replicas = int(line)

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End everything, and remove the namespaces."""
        for node in self.all_nodes:
            wait_for(node.kill, 10)
        for process in self._processes:
            process.wait(60)
            if process.stdout is not None:
                process.stdout.close()
        for node in self.all_nodes:
            _run("ip", "link", "delete", node.name)
            _run(*_CONTROL, "delete", node.name)
        _run("ip", "link", "delete", _BRIDGE)

    def _connect(self, node: Node) -> None:
        _run(*_CONTROL, "add", node.name)
        _run("ip", "link", "add", node.name, "type", "veth", "peer", "eth0", "netns", node.name)
        _run("ip", "link", "set", node.name, "master", _BRIDGE, "up")
        _run(*node.command("ip", "link", "set", "lo", "up"))
        _run(*node.command("ip", "address", "add", f"{node.address}/24", "dev", "eth0"))
        _run(*node.command("ip", "link", "set", "eth0", "up"))
        _run(*node.command("ip", "route", "add", "default", "via", f"{_NETWORK}.1"))

    def _ray_start(self, node: Node, *options: str) -> None:
        ray = str(Path(sys.executable).with_name("ray"))
        words = [ray, "start", "--block", "--disable-usage-stats", *options]
        words += [f"--node-ip-address={node.address}"]
        words += [f"--object-store-memory={OBJECT_STORE_BYTES}"]
        log = self._folder / f"{node.name}.log"
        with log.open("wb") as output:
            self._popen(node, words, stdout=output.fileno())
        # One after another: nodes that start at once on one machine take each other's sockets.
        wait_for(lambda: "Ray runtime started" in self.log(node), START_S)

    def _popen(
        self, node: Node, words: list[str], stdout: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            node.command(*words),
            cwd=ROOT,
            env=self._env,
            stdout=stdout,
            stderr=subprocess.DEVNULL if stdout == subprocess.PIPE else subprocess.STDOUT,
        )
        self._processes.append(process)
        return process


@contextmanager
def ray_cluster(nodes: int, *, haproxy: bool = False, cpus: int = 2) -> Iterator[RayCluster]:
    """Run a cluster until the block ends. Its folder has a short name: sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="rs"))
    cluster = RayCluster(folder, {"RAY_SERVE_ENABLE_HA_PROXY": "1"} if haproxy else {})
    try:
        cluster.start(nodes, cpus)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until the condition holds, and return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begun


def _run(*words: str) -> str:
    """Run a command of the system; one that fails says why."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
