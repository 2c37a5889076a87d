"""Tell whether a port is free, and which processes use it: ``/proc`` on Linux, else ``lsof``."""

from __future__ import annotations

import errno
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.problem import Problem
from orchestrator.processes import command_line

_LISTENING = "0A"
_CONNECT_S = 0.5
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked up, not bound


@dataclass(frozen=True)
class PortProblem(Problem):
    """Why a child could not listen on a port; the text continues "port 5000 on HOST …"."""

    pids: frozenset[int] = frozenset()
    """The processes that listen on it, as far as this user may see them."""


def port_problem(host: str, port: int) -> PortProblem | None:
    """Return why a child could not listen on the port; None when it could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError for a name with an empty part: a..b
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return _taken(port)
        return PortProblem(f"cannot be used: {error}")
    # macOS allows binding one address while another process listens on all addresses.
    with socket.socket(family, kind, protocol) as probe:
        probe.settimeout(_CONNECT_S)
        return None if probe.connect_ex(address) else _taken(port)


def conflict(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Tell whether two listeners would need the same port on the same address."""
    if one[1] != other[1]:
        return False
    hosts = {_resolved(host) for host, _ in (one, other)}
    return len(hosts) == 1 or bool(hosts & _EVERYWHERE)


def _resolved(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # ``port_problem`` reports it
        return host
    return str(found[0][4][0])


def _taken(port: int) -> PortProblem:
    pids = listeners(port)
    named = [f"PID {pid} ({command_line(pid) or 'command not visible'})" for pid in sorted(pids)]
    owners = ", ".join(named) or "a process that this user cannot see"
    return PortProblem(f"is taken by {owners}", pids)


def listeners(port: int) -> frozenset[int]:
    """Return the PIDs of the processes that listen on the port, where this user may see them."""
    linux = sys.platform.startswith("linux")
    return frozenset(_listeners_by_proc(port) if linux else _listeners_by_lsof(port))


def _listeners_by_proc(port: int) -> set[int]:
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*") if wanted else ():
        try:
            if str(link.readlink()) in wanted:
                found.add(int(link.parts[2]))
        except OSError:
            continue
    return found


def _inodes(port: int) -> set[str]:
    rows = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows += [row.split() for row in table.read_text(encoding="ascii").splitlines()[1:]]
    suffix = f":{port:04X}"
    return {row[9] for row in rows if row[1].endswith(suffix) and row[3] == _LISTENING}


def _listeners_by_lsof(port: int) -> set[int]:
    lsof = shutil.which("lsof")
    if lsof is None:
        return set()
    argv = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
    return {int(pid) for pid in re.findall(r"\d+", done.stdout)}
