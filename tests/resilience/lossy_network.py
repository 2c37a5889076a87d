"""A network between two programs of this machine that loses, delays and doubles packets.

A TUN device has an address of its own and a peer that does not exist. Packets to the peer come to
this process, which exchanges their two addresses and gives them back: they arrive at the
device's own address, as if the peer had sent them. So a connection to the peer reaches whatever
listens on the device's address, over the TCP of the kernel, and each of its packets passes through
here. Exchanging the addresses does not change the checksums, which are sums.

It needs root, ``/dev/net/tun`` and the command ``ip``.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
#: Whole IP packets, without a header of the device.
_IFF_TUN_NO_PI = 0x1001
_MAX_PACKET = 65535
_IPV4 = 4


@dataclass(frozen=True, slots=True)
class PacketFault:
    """What happens to packets in both directions, or only to those that the servers send."""

    name: str
    lost: float = 0.0
    """Share of the packets."""

    doubled: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Upper bound of a random additional delay, by which packets change their order."""

    is_one_way: bool = False
    """Whether only the packets that the servers send are changed."""


NO_FAULT = PacketFault("none")


class LossyNetwork:
    """The network; ``fault`` may be set at any time and applies to all connections."""

    def __init__(self, device: int, host: str) -> None:
        self.host = host
        """The address under which clients reach the servers of this machine."""

        self.fault = NO_FAULT
        self.servers: frozenset[int] = frozenset()
        """The ports of the servers."""

        self.changed = 0
        """Number of packets that were lost, delayed or doubled."""

        self._device = device
        self._random = random.Random(20261129)
        self._waiting: list[tuple[float, int, bytes]] = []
        """Packets with the time at which they arrive, and a number that keeps their order."""

        self._taken = 0

    def run(self, stop: int) -> None:
        """Forward packets until the descriptor ``stop`` is readable."""
        while True:
            readable, _, _ = select.select([self._device, stop], [], [], self._wait_s())
            if stop in readable:
                return
            if readable:
                self._take(os.read(self._device, _MAX_PACKET))
            self._deliver()

    def _wait_s(self) -> float | None:
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _take(self, packet: bytes) -> None:
        if packet[0] >> 4 != _IPV4:
            return
        fault = self.fault
        if fault is NO_FAULT or (fault.is_one_way and _source_port(packet) not in self.servers):
            self._put(packet, 0.0)
            return
        if self._random.random() < fault.lost:
            self.changed += 1
            return
        copies = 2 if self._random.random() < fault.doubled else 1
        self.changed += copies > 1 or fault.delay_s > 0
        for _ in range(copies):
            self._put(packet, fault.delay_s + self._random.random() * fault.jitter_s)

    def _put(self, packet: bytes, delay_s: float) -> None:
        self._taken += 1
        heapq.heappush(self._waiting, (time.monotonic() + delay_s, self._taken, packet))

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            os.write(self._device, _returned(heapq.heappop(self._waiting)[2]))


def _returned(packet: bytes) -> bytes:
    """Return an IPv4 packet with source and destination exchanged."""
    return packet[:12] + packet[16:20] + packet[12:16] + packet[20:]


def _source_port(packet: bytes) -> int:
    """Return the source port of a TCP packet."""
    head = 4 * (packet[0] & 15)
    return int.from_bytes(packet[head : head + 2], "big")


@contextmanager
def lossy_network() -> Iterator[LossyNetwork]:
    """Make a network that lasts until the block ends; skip the test where it cannot be made."""
    if not shutil.which("ip") or not os.access(_DEVICE, os.W_OK) or os.geteuid():
        pytest.skip(f"root, {_DEVICE} and the command ip are needed")
    # Two test runs at the same time have different addresses.
    third, fourth = divmod(os.getpid(), 64)
    net = f"10.203.{third % 256}"
    own, peer = f"{net}.{4 * fourth + 1}", f"{net}.{4 * fourth + 2}"
    device = _opened()
    stopped, stop = os.pipe()
    try:
        name = _attached(device)
        for command in (
            ["addr", "add", own, "peer", peer, "dev", name],
            ["link", "set", name, "up"],
        ):
            subprocess.run(["ip", *command], check=True, timeout=60)
        network = LossyNetwork(device, peer)
        thread = threading.Thread(target=network.run, args=(stopped,))
        thread.start()
        try:
            yield network
        finally:
            os.write(stop, b"x")
            thread.join(60)
    finally:
        for descriptor in (device, stopped, stop):
            os.close(descriptor)


def _opened() -> int:
    """Open the device; a container may have its file without a driver."""
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"{_DEVICE} cannot be opened: {error.strerror}")


def _attached(device: int) -> str:
    """Make the descriptor a new TUN device; return its name."""
    request = struct.pack("16sH14x", b"lossy%d", _IFF_TUN_NO_PI)
    try:
        made = fcntl.ioctl(device, _TUNSETIFF, request)
    except OSError as error:
        pytest.skip(f"a TUN device cannot be made here: {error.strerror}")
    return made[:16].rstrip(b"\0").decode()
