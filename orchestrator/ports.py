"""Say whether a port can be had, and who has it: by ``/proc`` on Linux, by ``lsof`` elsewhere."""

from __future__ import annotations

import errno
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from orchestrator.processes import command_line

_LISTENING = "0A"
_CONNECT_S = 0.5
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked up, not bound


def problem(host: str, port: int) -> str:
    """Return why a child could not listen there, as a clause; empty when it could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return _taken_by(port) if error.errno == errno.EADDRINUSE else f"cannot be had: {error}"
    # macOS lets a narrow address be bound beside a listener on all addresses.
    with socket.socket(family, kind, protocol) as probe:
        probe.settimeout(_CONNECT_S)
        return "" if probe.connect_ex(address) else _taken_by(port)


def same(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Tell whether two addresses cannot be had at once; one of all addresses meets every other."""
    if one[1] != other[1]:
        return False
    hosts = {_resolved(host) for host, _ in (one, other)}
    return len(hosts) == 1 or bool(hosts & _EVERYWHERE)


def _resolved(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:  # ``problem`` will say so
        return host
    return str(found[0][4][0])


def _taken_by(port: int) -> str:
    return f"is taken by {owner(port) or 'a process that this user cannot see'}"


def owner(port: int) -> str:
    """Return who listens on the port, as PID and command line; empty when that cannot be seen."""
    pids = _owners_by_proc(port) if sys.platform.startswith("linux") else _owners_by_lsof(port)
    return ", ".join(
        f"PID {pid} ({command_line(pid) or 'command not visible'})" for pid in sorted(pids)
    )


def _owners_by_proc(port: int) -> set[int]:
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


def _owners_by_lsof(port: int) -> set[int]:
    lsof = shutil.which("lsof")
    if lsof is None:
        return set()
    argv = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
    return {int(pid) for pid in re.findall(r"\d+", done.stdout)}
